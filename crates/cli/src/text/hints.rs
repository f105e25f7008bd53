//! What other parts of the program say to do, in Chinese, by its English words. A hint that is not
//! known stays as it is.

use std::borrow::Cow;

/// The Chinese words, or the English ones.
pub fn chinese(english: &str) -> Cow<'_, str> {
    let found = HINTS.iter().find(|(known, _)| *known == english);
    found.map_or(Cow::Borrowed(english), |(_, chinese)| Cow::Borrowed(*chinese))
}

const HINTS: &[(&str, &str)] = &[
    // The bench's.
    (
        "free some space, or name another directory with --dir",
        "请腾出空间，或用 --dir 指定其他目录",
    ),
    ("name a directory that you may write to with --dir", "请用 --dir 指定一个可写的目录"),
    (
        "raise the limit of open files (`ulimit -n`), or measure less at once",
        "请提高打开文件数上限（`ulimit -n`），或减少同时测量的数量",
    ),
    // The catalog's.
    (
        "wait for the other process, or ask the running server",
        "请等待另一个进程，或查询正在运行的服务器",
    ),
    (
        "free some space; nothing is lost, the records have it all",
        "请腾出空间；没有丢失任何内容，记录中全都有",
    ),
    (
        "run `stepflow reindex`, or start the server: the file is set aside, and the records hold everything but tokens",
        "请运行 `stepflow reindex` 或启动服务器：该文件会被移到一旁保留，记录中有除令牌以外的一切",
    ),
    ("use the release that wrote it, or a newer one", "请使用写入它的版本或更新的版本"),
    (
        "start the server once, or run a command that writes",
        "请启动一次服务器，或运行一个会写入的命令",
    ),
    (
        "`stepflow upgrade` upgrades it in place, as does every command that writes; if that is going on just now, wait for its end",
        "`stepflow upgrade` 或任何会写入的命令都会就地升级它；如果正在升级，请等它结束",
    ),
    ("use another directory with --storage", "请用 --storage 指定其他目录"),
    ("run a script first, or check --storage", "请先运行一个脚本，或检查 --storage"),
    ("put the storage on a local file system", "请把存储放在本地文件系统上"),
    (
        "ask for less at once: a shorter time, a smaller page",
        "请一次少查询一些：更短的时间段，更小的页",
    ),
    ("try again in a moment", "请稍后再试"),
    (
        "end the program that reads the catalog; all output is recorded meanwhile",
        "请结束正在读取目录库的程序；期间所有输出都会照常记录",
    ),
    (
        "put the storage on a local file system, or serve it on the host that has the disk",
        "请把存储放在本地文件系统上，或在拥有该磁盘的主机上运行服务器",
    ),
    // The server's.
    (
        "leave authentication on, or use --listen 127.0.0.1:8080",
        "请保持认证开启，或使用 --listen 127.0.0.1:8080",
    ),
    (
        "another program has the port: pass --listen ADDR",
        "端口已被其他程序占用：请用 --listen 指定地址",
    ),
    (
        "ports below 1024 need a privilege: use a higher one",
        "1024 以下的端口需要特权：请使用更大的端口",
    ),
    (
        "one server per storage: stop the other one, or pass another --storage",
        "每个存储一个服务器：请停止另一个，或用 --storage 指定其他存储",
    ),
    (
        "stop that server (executions go on) and start this one without --takeover",
        "请停止那个服务器（执行会继续），再不带 --takeover 启动这一个",
    ),
    // An upgrade's.
    (
        "stop the original server, and whatever else has the database open, and try again",
        "请停止原版服务器以及其他打开该数据库的程序，然后重试",
    ),
    (
        "nothing was touched; `sqlite3 stepflow.db .recover | sqlite3 mended.db` saves what can be read: put that in its place and try again",
        "没有改动任何内容；`sqlite3 stepflow.db .recover | sqlite3 mended.db` 可保存能读出的部分：用它替换原文件后重试",
    ),
    (
        "free some space and try again: it goes on where it stopped, and the original is unchanged",
        "请腾出空间后重试：会从停下的地方继续，原版数据没有改变",
    ),
    (
        "the original is unchanged; when the cause is gone, try again: it goes on where it stopped",
        "原版数据没有改变；原因消除后请重试：会从停下的地方继续",
    ),
];

#[cfg(test)]
mod tests {
    use std::{io, path::PathBuf};

    use stepflow_catalog::CatalogError as C;
    use stepflow_engine::OpenError;
    use stepflow_original::UpgradeError as U;
    use stepflow_server::ServeError as S;

    use super::*;

    #[test]
    fn c9_what_other_parts_say_to_do_is_said_in_chinese() {
        let path = || PathBuf::from("x");
        let listen = "127.0.0.1:1".parse().unwrap();
        let full = io::ErrorKind::StorageFull;
        let io = |kind: io::ErrorKind| U::Io { doing: "read", path: path(), source: kind.into() };
        let catalog = [
            C::TooNew { path: path(), found: 2, supported: 1 },
            C::Behind { path: path(), found: 1, needed: 2 },
            C::Original { path: path() },
            C::Foreign { path: path(), application_id: 1 },
            C::Missing { path: path() },
            C::NoWal { path: path(), found: String::new() },
            C::Ended { path: path() },
            C::Crowded { path: path() },
            C::WalHeld { path: path(), bytes: 1 },
        ];
        let upgrade = [
            U::Changed { path: path() },
            U::Damaged { path: path(), what: String::new() },
            io(full),
            io(io::ErrorKind::NotFound),
        ];
        let serve = [
            S::OpenToAll { listen },
            S::Listen { listen, source: io::ErrorKind::AddrInUse.into() },
            S::Listen { listen, source: io::ErrorKind::PermissionDenied.into() },
            S::Takeover { source: io::ErrorKind::Unsupported.into() },
            S::Engine(OpenError::Locked { path: path(), holder: None }),
            S::Engine(OpenError::Network { path: path(), kind: "NFS" }),
        ];
        let hints = catalog.iter().map(C::hint).chain(upgrade.iter().map(U::hint));
        for hint in hints.chain(serve.iter().map(S::hint)) {
            let hint = hint.unwrap();
            assert_ne!(chinese(hint), hint);
        }
    }
}

//! What stands below the flags: examples with their comments, and what else is worth knowing.

/// In Chinese. Commands stay what they are; what is said beside them is looked up.
pub fn chinese(english: &str) -> String {
    english.split("\n\n").map(paragraph).collect::<Vec<_>>().join("\n\n")
}

fn paragraph(english: &str) -> String {
    match english.strip_prefix("Examples:\n") {
        Some(examples) => {
            let lines: Vec<String> = examples.lines().map(example).collect();
            format!("示例：\n{}", lines.join("\n"))
        }
        None => said(PROSE, english),
    }
}

/// `  command   comment`.
fn example(line: &str) -> String {
    match comment(line) {
        Some(comment) => {
            let command = &line[..line.len() - comment.len()];
            format!("{command}{}", said(COMMENTS, comment))
        }
        None => line.to_owned(),
    }
}

/// What stands behind a command, after at least two spaces.
fn comment(line: &str) -> Option<&str> {
    let command = line.trim_start();
    let (_, comment) = command.split_once("  ")?;
    Some(comment.trim_start())
}

fn said(known: &[(&str, &str)], english: &str) -> String {
    let found = known.iter().find(|(known, _)| *known == english);
    found.map_or_else(|| english.to_owned(), |(_, chinese)| (*chinese).to_owned())
}

const COMMENTS: &[(&str, &str)] = &[
    ("run a script and watch its steps", "运行脚本并查看其步骤"),
    ("the web page at http://127.0.0.1:8080", "网页位于 http://127.0.0.1:8080"),
    ("what ran here", "这里运行过什么"),
    ("what ran there", "那里运行过什么"),
    ("follow a log", "跟随日志"),
    ("the script asks on a terminal", "脚本在终端上提问"),
    ("only look", "只查看"),
    ("a secret is not recorded: give it again", "机密不会被记录：请再次给出"),
    ("the page", "网页"),
    ("instead of the server that runs: an upgrade", "接替正在运行的服务器：升级"),
    ("the newest execution", "最新的执行"),
    ("follow, then exit as the script did", "跟随，然后以脚本的退出码退出"),
    ("all of them", "全部"),
    ("the newest one", "最新的一次"),
    ("one file, opens without network", "单个文件，无需网络即可打开"),
    ("for ui.perfetto.dev, chrome://tracing", "用于 ui.perfetto.dev、chrome://tracing"),
    ("a minute", "一分钟"),
    ("only this, larger", "仅此项，规模更大"),
    ("in ~/.bashrc", "写入 ~/.bashrc"),
    ("in ~/.zshrc, after compinit", "写入 ~/.zshrc，在 compinit 之后"),
];

const PROSE: &[(&str, &str)] = &[
    (
        "Exit code: the script's own; 128+n for signal n; 124 timed out; 125 StepFlow's own failure;\n126/127 not executable / not found.",
        "退出码：脚本自身的；被信号 n 终止为 128+n；超时为 124；StepFlow 自身失败为 125；\n无法执行 / 找不到为 126/127。",
    ),
    (
        "Keys go to executions that were started with --pty (\"pty\": true); others are only followed.\nAfter the end it exits as the script did, like `run`; after the detach keys with 0.",
        "只有以 --pty 启动的执行（\"pty\": true）接受按键；其他的只能跟随。\n结束后以脚本的退出码退出，如同 `run`；按断开键则以 0 退出。",
    ),
    (
        "Tests are what the output tells of and what files of results hold (--junit). Exit code: 0, however\nthey ended.",
        "测试来自输出中报告的内容与结果文件（--junit）。退出码：无论测试结果如何均为 0。",
    ),
    (
        "Lines are searched as the page shows them. Exit code: 0 something was found; 1 nothing was; 2 it\nfailed, or a log could not be read.",
        "搜索的是网页上显示的行。退出码：找到为 0；未找到为 1；\n失败或有日志无法读取为 2。",
    ),
    ("Exit code: as of `run`.", "退出码：与 `run` 相同。"),
    (
        "Exit code: 0 if everything was recorded and no critical step failed; 1 if one did;\n130 ended by Ctrl-C or `stepflow cancel`; 125 StepFlow's own failure. The exit code of what writes\ninto the pipe is the shell's to give: `set -o pipefail`.",
        "退出码：全部已记录且没有关键步骤失败为 0；有则为 1；\n被 Ctrl-C 或 `stepflow cancel` 结束为 130；StepFlow 自身失败为 125。写入管道的程序的退出码\n由 shell 给出：`set -o pipefail`。",
    ),
    (
        "With --server it prints where the page shows it; a link that logs in is made on the server's\nown host alone.",
        "给出 --server 时打印网页上的位置；用于登录的链接只能在服务器所在的主机上生成。",
    ),
    (
        "Lines and their numbers are those of the page. A line over 16 KiB is cut, as there; --raw is not.",
        "行及行号与网页相同。超过 16 KiB 的行会被截断，与网页一样；--raw 不截断。",
    ),
    (
        "Keys: j k move, Enter open, f follow, e E errors, / n N search, v levels, w wrap, m times, y c copy,\nx select, o in the browser, ? all of them, q leaves. It runs on when you leave.",
        "按键：j k 移动，Enter 打开，f 跟随，e E 错误，/ n N 搜索，v 级别，w 换行，m 时间，y c 复制，\nx 选择，o 在浏览器中打开，? 全部按键，q 退出。退出后执行会继续。",
    ),
    (
        "The digest of what arrives is compared with the one that was recorded.",
        "收到的内容会与记录的摘要比对。",
    ),
    (
        "Changes nothing; works with and without a running server.",
        "不做任何改动；无论服务器是否运行都可使用。",
    ),
    (
        "Parts: api (requests), catalog (reads and writes), capture (output of one script), streams (many\nscripts, each watched), start (scripts that end at once), fanout (many viewers of one script),\nrecovery (a server that is killed, or starts over much), storage (what executions take, search in one\nlog and in many), ingest (very many streams from elsewhere).",
        "部分：api（请求）、catalog（读写）、capture（单个脚本的输出）、streams（大量脚本，每个都有人观看）、\nstart（立即结束的脚本）、fanout（多人观看一个脚本）、recovery（服务器被杀，或在大量数据上启动）、\nstorage（执行占用的空间，日志搜索）、ingest（大量外部流）。",
    ),
    ("Exit code: 1 if something failed, else 0.", "退出码：有失败项为 1，否则为 0。"),
    (
        "Interrupted, it goes on where it stopped when it is run again.",
        "若中断，再次运行时会从停下的地方继续。",
    ),
    (
        "The catalog can be thrown away at any time: the records hold everything.",
        "目录库可随时丢弃：记录中有全部内容。",
    ),
    (
        "`stepflow restore` brings it back, `stepflow --storage DIR verify` holds it against its checksums.",
        "`stepflow restore` 可将其恢复，`stepflow --storage DIR verify` 用校验和核对它。",
    ),
    ("Cut off, it is begun again by the same command.", "如被中断，用同一命令重新开始。"),
    ("With a server on the storage, the server does it.", "存储上有服务器时，由服务器执行。"),
    (
        "Every log is proven before and after. `zstdcat` reads what comes of it; so does every command.",
        "每份日志在压缩前后都会得到验证。结果可用 `zstdcat` 读取，所有命令也都能读取。",
    ),
];

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::*;

    fn all(command: &Command, found: &mut Vec<String>) {
        found.extend(command.get_after_help().map(ToString::to_string));
        command.get_subcommands().for_each(|below| all(below, found));
    }

    #[test]
    fn c9_what_stands_below_the_flags_is_chinese_to_its_last_word() {
        let mut texts = Vec::new();
        all(&crate::args::Args::command(), &mut texts);
        assert!(texts.len() > 15);
        let (mut comments, mut prose) = (Vec::new(), Vec::new());
        for text in &texts {
            for part in text.split("\n\n") {
                match part.strip_prefix("Examples:\n") {
                    Some(lines) => comments.extend(lines.lines().filter_map(comment)),
                    None => prose.push(part),
                }
            }
        }
        let is_in = |known: &[(&str, &str)], text: &&str| known.iter().any(|(one, _)| one == text);
        let missing: Vec<_> = comments
            .iter()
            .filter(|text| !is_in(COMMENTS, text))
            .chain(prose.iter().filter(|text| !is_in(PROSE, text)))
            .collect();
        assert!(missing.is_empty(), "{missing:#?}");
        for (known, _) in COMMENTS {
            assert!(comments.contains(known), "nobody says: {known}");
        }
        for (known, _) in PROSE {
            assert!(prose.contains(known), "nobody says: {known}");
        }
    }

    #[test]
    fn c9_commands_stay_what_they_are() {
        let text = "Changes nothing; works with and without a running server.\n\n\
                    Examples:\n  stepflow ls\n  stepflow run -- bash build.sh          what ran here";
        assert_eq!(
            chinese(text),
            "不做任何改动；无论服务器是否运行都可使用。\n\n\
             示例：\n  stepflow ls\n  stepflow run -- bash build.sh          这里运行过什么"
        );
    }
}

//! What `stepflow doctor` finds, and what to do about it.

messages! {
    // Words of its report.
    storage(path) { "storage {path}", "存储 {path}" }
    good() { "ok  ", "正常" }
    to_look_at() { "warn", "注意" }
    bad() { "FAIL", "失败" }
    result(ok, warn, fail) {
        "{ok} ok, {warn} to look at, {fail} failed", "{ok} 项正常，{warn} 项需注意，{fail} 项失败"
    }
    and_more(count) { "; and {count} more", "；另有 {count} 个" }
    files(count, s) { "{count} file{s}", "{count} 个文件" }
    executions(count, s) { "{count} execution{s}", "{count} 次执行" }

    // The directory.
    no_directory() { "it is no directory", "它不是目录" }
    no_such_directory() { "there is no such directory", "没有这个目录" }
    not_to_be_looked_at(why) { "cannot be looked at: {why}", "无法查看：{why}" }
    belongs_to(owner, me) { "it belongs to user {owner}, we are {me}", "它属于用户 {owner}，当前用户是 {me}" }
    open_to_others(files, path, mode) {
        "{files} can be used by other users, such as {path} ({mode})", "{files}可被其他用户访问，例如 {path}（{mode}）"
    }
    closed_to_others() { "0700 and 0600: nobody else can look", "0700 和 0600：其他人无法查看" }
    of_others(files, path, user) {
        "{files} of other users, such as {path} (user {user})", "{files}属于其他用户，例如 {path}（用户 {user}）"
    }
    user(user) { "user {user}", "用户 {user}" }
    pass_another() { "pass another --storage DIR", "请用 --storage 指定其他目录" }
    makes_it() {
        "nothing has run here yet: `stepflow run -- CMD` makes it; or pass the right --storage DIR",
        "这里还没有运行过任何东西：`stepflow run -- 命令` 会创建它；或用 --storage 指定正确的目录"
    }
    run_as_owner() { "run as its owner", "请以其所有者的身份运行" }
    run_as_that_user() {
        "run as that user, or pass another --storage DIR", "请以该用户的身份运行，或用 --storage 指定其他目录"
    }
    run_as_storage_owner() { "run as the owner of the storage", "请以存储所有者的身份运行" }
    chown(user, path) {
        "chown -R {user} '{path}', and always run as that user", "chown -R {user} '{path}'，并始终以该用户的身份运行"
    }

    // Its disk.
    cannot_ask(why) { "cannot be asked for: {why}", "无法查询：{why}" }
    look_at_disk() { "look at the disk", "请检查磁盘" }
    space(free, all, percent) { "{free} free of {all} ({percent} %)", "{all} 中可用 {free}（{percent} %）" }
    inodes(free, all, percent) {
        "{free} free of {all} inodes ({percent} %)", "{all} 个 inode 中可用 {free} 个（{percent} %）"
    }
    space_refused(space, least) {
        "{space}: new executions are refused below {least}", "{space}：低于 {least} 时拒绝新的执行"
    }
    free_space() {
        "free some space: `stepflow doctor` names the largest executions; scripts wait while the disk is full, and nothing is dropped",
        "请腾出空间：`stepflow doctor` 会列出最大的执行；磁盘满时脚本等待，不会丢失任何内容"
    }
    more_inodes() {
        "each execution needs 6 to 8 files: remove some, or use a file system with more",
        "每次执行需要 6 到 8 个文件：请删除一些执行，或换用 inode 更多的文件系统"
    }
    filesystem(name, problem) { "{name}: {problem}", "{name}：{problem}" }
    another_kind() { "another kind", "其他类型" }
    emptied_by_restart() { "a restart of the host empties it", "主机重启后会被清空" }
    needs_local_locks() {
        "locks and WAL mode need a local file system", "锁和 WAL 模式需要本地文件系统"
    }
    may_not_honour() {
        "locks, WAL mode and syncs may not be honoured", "锁、WAL 模式和同步可能不起作用"
    }
    use_local_disk() { "put the storage on a local disk", "请把存储放在本地磁盘上" }
    timed(what, median, longest) {
        "{what}: median {median}, longest {longest}", "{what}：中位数 {median}，最长 {longest}"
    }
    not_timed(what, why) { "{what}: {why}", "{what}：{why}" }
    append_and_sync() { "append and sync of 4 KiB", "追加并同步 4 KiB" }
    durable_write() { "single durable write", "单次持久写入" }
    disk_and_mode() { "look at the disk and its mode", "请检查磁盘及其挂载方式" }
    slow_disk() {
        "the disk is slow or shared: scripts are not slowed down, starts and lists are; try another disk",
        "磁盘慢或被共享：脚本不会变慢，启动和列表会变慢；请试试其他磁盘"
    }
    sizes(database, records, artifacts, executions, part) {
        "database {database}, records {records}, artifacts {artifacts} ({executions}{part})",
        "数据库 {database}，记录 {records}，产物 {artifacts}（{executions}{part}）"
    }
    newest_only() { ", of the newest only", "，仅最新的部分" }
    largest(list) { "; largest: {list}", "；最大的：{list}" }
    sockets_left(count, s) { "{count} socket{s} of an ended recorder", "{count} 个已结束的记录器的套接字" }
    nothing_left(count, s) { "none; {count} backup{s} kept", "没有；保留了 {count} 个备份" }
    dropped(bytes, from, to) {
        "\u{2026} {bytes} bytes (from byte {from} to {to}) were dropped: log_max_bytes is reached \u{2026}",
        "\u{2026} 已丢弃 {bytes} 字节（从第 {from} 字节到第 {to} 字节）：达到 log_max_bytes \u{2026}"
    }
    remove_leftovers() {
        "nothing uses them; once you are sure that nothing is missing, remove them",
        "没有程序使用它们；确认没有缺失之后即可删除"
    }

    // The catalog's file.
    reindex_beside() {
        "stop the server, move database/stepflow.db* away and run `stepflow reindex`: the records hold everything but tokens",
        "请停止服务器，移走 database/stepflow.db*，再运行 `stepflow reindex`：记录中有除令牌以外的一切"
    }
    no_database_yet() { "none yet: nothing has run here", "尚无：这里还没有运行过任何东西" }
    database_missing(count) {
        "there is none, and there are {count} records", "没有数据库，但有 {count} 条记录"
    }
    reindex_makes_it() {
        "run `stepflow reindex`: it makes it from the records", "请运行 `stepflow reindex`：它会由记录重建"
    }
    no_sqlite() { "the file is no SQLite database", "该文件不是 SQLite 数据库" }
    original_database() {
        "a database of the original StepFlow Monitor, not upgraded yet", "原版 StepFlow Monitor 的数据库，尚未升级"
    }
    start_upgrades() {
        "start the server once: it keeps a copy and upgrades", "请启动一次服务器：它会保留副本并升级"
    }
    foreign_database(application) {
        "another program's (application id {application})", "属于其他程序（应用编号 {application}）"
    }
    version(version) { "version {version}", "版本 {version}" }
    version_too_new(version, known) {
        "version {version}; this program knows {known}", "版本 {version}；本程序支持到 {known}"
    }
    newer_release() {
        "use the release that wrote it, or a newer one", "请使用写入它的版本或更新的版本"
    }
    wal() {
        "WAL: readers and the writer do not wait for each other", "WAL：读取与写入互不等待"
    }
    no_wal() {
        "the journal mode is not WAL: lists and writes wait for each other",
        "日志模式不是 WAL：列表与写入会互相等待"
    }
    restart_sets_wal() {
        "restart the server, which sets it; if that does not help, another program changed it, or the file system cannot do it: use a local disk",
        "请重启服务器以设置它；若无效，则是其他程序改了它，或文件系统不支持：请使用本地磁盘"
    }
    integrity(what) { "{what}: ok", "{what}：正常" }
    damage(what, found) { "{what}: {found}", "{what}：{found}" }
    wal_size(bytes) { "the write-ahead log has {bytes}", "预写日志大小为 {bytes}" }
    long_reader() {
        "a program reads the database for long and keeps it from being moved: end it (`fuser` names it), then POST /api/health/optimize, or restart the server",
        "有程序长时间读取数据库，使其无法被合并：请结束该程序（`fuser` 可找到它），然后 POST /api/health/optimize，或重启服务器"
    }
    hold_nothing(free, all, percent) {
        "{free} of {all} hold nothing ({percent} %)", "{all} 中有 {free} 为空（{percent} %）"
    }
    optimize_gives_back() {
        "POST /api/health/optimize gives them back; a server that is idle does it by itself",
        "POST /api/health/optimize 可回收；空闲的服务器会自动回收"
    }
    newest_take(time) { "the newest 50 take {time}", "列出最新 50 次用时 {time}" }
    optimize_or_host() {
        "POST /api/health/optimize; if that does not help, the host needs more memory or a faster disk",
        "请 POST /api/health/optimize；若无效，主机需要更多内存或更快的磁盘"
    }

    // Records.
    open_records(running, waiting, ended) {
        "{running} running, {waiting} waiting, {ended} ended and not yet in the catalog",
        "{running} 个正在运行，{waiting} 个等待中，{ended} 个已结束但尚未进入目录库"
    }
    nobody_starts() {
        "no server runs: `stepflow serve` starts what waits; `stepflow cancel --all` gives it up",
        "没有服务器在运行：`stepflow serve` 会启动等待的执行；`stepflow cancel --all` 则放弃它们"
    }
    none_dead() { "no execution without its recorder", "没有失去记录器的执行" }
    dead(executions, list) { "{executions} without a recorder: {list}", "{executions}失去了记录器：{list}" }
    host_restarted() {
        "the host was restarted while it ran", "运行期间主机被重启"
    }
    recorder_gone() {
        "its recorder and keeper are gone without an end: killed, or out of memory",
        "它的记录器和看守进程未写结尾就消失了：被强制结束，或内存不足"
    }
    server_should_end() {
        "the server should have written their end: its log says why not; restart it",
        "服务器本应写下它们的结尾：其日志说明原因；请重启服务器"
    }
    ls_ends_them() {
        "`stepflow ls`, or starting the server, writes their end as failed; their logs are exact to the last recorded byte",
        "`stepflow ls` 或启动服务器会把它们记为失败；它们的日志精确到最后记录的字节"
    }
    unreadable() {
        "`less` shows what is in executions/ID/output.log; a damaged spec.json can be restored from a backup only",
        "可用 `less` 查看 executions/编号/output.log 的内容；损坏的 spec.json 只能从备份恢复"
    }
    run_reindex() { "run `stepflow reindex`", "请运行 `stepflow reindex`" }
    not_in_catalog(count, list) { "{count} not in the catalog ({list})", "{count} 个不在目录库中（{list}）" }
    without_record(count, list) {
        "{count} in the catalog without a record ({list})", "{count} 个在目录库中但没有记录（{list}）"
    }
    without_marker(count, list) {
        "{count} unfinished in the catalog without a marker ({list})", "{count} 个在目录库中未结束但没有标记文件（{list}）"
    }
    all_in_catalog(count, s) { "{count} record{s} in the catalog", "目录库中有 {count} 条记录" }
    rebuild() {
        "stop the server and run `stepflow reindex`: it rebuilds the catalog from the records; executions that run go on",
        "请停止服务器并运行 `stepflow reindex`：它由记录重建目录库；正在运行的执行会继续"
    }

    // The server, its lock, the host.
    answers(version) { "answers, version {version}", "有应答，版本 {version}" }
    answers_older(version, ours) {
        "answers, version {version}; this program is {ours}", "有应答，版本 {version}；本程序是 {ours}"
    }
    restart_goes_on() { "restart the server: executions go on", "请重启服务器：执行会继续" }
    answers_unwell(status, detail) { "answers {status}: {detail}", "应答 {status}：{detail}" }
    status_says() {
        "GET /api/health/status says which part does not work", "GET /api/health/status 说明哪个部分不工作"
    }
    does_not_answer(who) {
        "does not answer at run/server.sock, and {who} holds the storage", "run/server.sock 没有应答，而{who}占用着存储"
    }
    a_process() { "a process", "某个进程" }
    process(id) { "process {id}", "进程 {id} " }
    end_or_wait() {
        "if it is a server that hangs, end it: executions go on; if it is a command, wait",
        "若是挂起的服务器，请结束它：执行会继续；若是命令，请等待"
    }
    no_server() { "none runs; commands work without one", "没有运行；命令不需要服务器" }
    server_log() {
        "its log says why; end it if it hangs: executions go on", "其日志说明原因；若它挂起，请结束它：执行会继续"
    }
    lock_without_id() { "held by a process that did not write its id", "被未写下编号的进程占用" }
    wait_a_moment() { "wait a moment", "请稍候" }
    lock_free() { "free", "空闲" }
    lock_held(id, name) { "held by process {id} ({name})", "被进程 {id}（{name}）占用" }
    lock_stopped(id, name) {
        "held by process {id} ({name}), which is stopped", "被进程 {id}（{name}）占用，而它已被暂停"
    }
    continue_it(id) {
        "kill -CONT {id} lets it go on; executions are recorded meanwhile", "kill -CONT {id} 使其继续；其间执行仍被记录"
    }
    lock_unseen(id) {
        "held by a process that is not seen from here (written id {id})", "被这里看不到的进程占用（写下的编号 {id}）"
    }
    between_containers() {
        "normal between containers that share the storage; else find it with `fuser`",
        "多个容器共享存储时属正常；否则请用 `fuser` 查找"
    }
    does_not_tell(why) { "the server does not tell: {why}", "服务器没有说明：{why}" }
    see_its_log() { "see its log", "请看其日志" }
    connections(open, most, websocket, sse) {
        "{open} of {most}; {websocket} WebSocket and {sse} event-stream viewers",
        "{most} 个中的 {open} 个；WebSocket 查看者 {websocket} 个，事件流查看者 {sse} 个"
    }
    close_pages() {
        "further ones will wait: close pages, or find who leaks", "更多的连接将等待：请关闭页面，或找出泄漏连接者"
    }
    server_process(resident, own, used, fds) {
        "{resident} resident ({own} of its own), {used} of {fds} file descriptors",
        "驻留内存 {resident}（自有 {own}），文件描述符 {used}/{fds}"
    }
    raise_and_restart() {
        "raise `ulimit -n` (LimitNOFILE=) and restart it", "请提高 `ulimit -n`（LimitNOFILE=）并重启服务器"
    }
    at_most(soft, hard) { "{soft}, {hard} at most", "{soft}，最多 {hard}" }
    raise_files() {
        "raise it: `ulimit -Hn 65536`, LimitNOFILE=65536, or --ulimit nofile=65536",
        "请提高：`ulimit -Hn 65536`、LimitNOFILE=65536 或 --ulimit nofile=65536"
    }
    no_limit() { "no limit", "不限" }
    of_this_user(count) { "{count} of this user", "此用户 {count} 个" }
    raise_processes() {
        "each execution needs three: raise it (`ulimit -u`, TasksMax=)", "每次执行需要三个：请提高（`ulimit -u`、TasksMax=）"
    }
    available(available, all) { "{available} of {all} available", "{all} 中可用 {available}" }
    run_less() {
        "the kernel may kill scripts or recorders: run less at once (`stepflow serve --max-running N`)",
        "内核可能强制结束脚本或记录器：请减少同时运行的数量（`stepflow serve --max-running N`）"
    }
    no_clock() { "it is before 2025", "时间早于 2025 年" }
    set_clock() { "set it: `timedatectl`, or NTP", "请设置时钟：`timedatectl` 或 NTP" }
    from_the_future(seconds) {
        "the newest execution was made {seconds} s from now", "最新的执行创建于 {seconds} 秒之后"
    }
    clock_went_back() {
        "the clock went back: lists stay in the order of creation until it has caught up",
        "时钟被调回：在追上之前，列表仍按创建顺序排列"
    }
    container() {
        "a container: its end ends all executions, like a restart of the host",
        "容器：它结束时所有执行都会结束，如同主机重启"
    }
    unit(name) {
        "the server runs in {name}: executions outlive it only with KillMode=process",
        "服务器运行在 {name} 中：只有 KillMode=process 时执行才能在其结束后继续"
    }
    unit_spares(name) {
        "the server runs in {name}: executions outlive it", "服务器运行在 {name} 中：执行在其结束后继续"
    }
    unit_kills(name) {
        "the server runs in {name}: its stop kills executions", "服务器运行在 {name} 中：停止它会终止执行"
    }
    kill_mode() {
        "set KillMode=process in the unit, then `systemctl daemon-reload`",
        "请在该单元中设置 KillMode=process，然后运行 `systemctl daemon-reload`"
    }
    no_unit() { "no unit and no container", "不在服务单元或容器中" }
}

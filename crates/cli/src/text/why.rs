//! Why something failed, and what to do about it.

messages! {
    // Which execution.
    no_execution(id) { "there is no execution {id}", "没有执行 {id}" }
    no_execution_like(text) { "there is no execution `{text}`", "没有执行“{text}”" }
    ls_shows_ids() { "`stepflow ls` shows the ids", "`stepflow ls` 会列出编号" }
    nothing_has_run() { "nothing has run here yet", "这里还没有运行过任何东西" }
    try_run() { "try `stepflow run -- CMD`", "试试 `stepflow run -- 命令`" }
    too_short(text) { "`{text}` is too short for an id", "“{text}”太短，不能作为编号" }
    fits_many(text, count) { "`{text}` fits {count} executions", "“{text}”符合 {count} 次执行" }
    more_of_the_id() { "give more of the id", "请给出更长的编号" }
    whole_id() { "give the whole id", "请给出完整的编号" }
    not_among_newest(text, count) {
        "`{text}` is not in the newest {count} executions", "最新的 {count} 次执行中没有“{text}”"
    }
    has_ended(id) { "execution {id} has ended", "执行 {id} 已结束" }
    has_ended_already(id) { "execution {id} has ended already", "执行 {id} 早已结束" }
    logs_shows(id) { "`stepflow logs {id}` shows its output", "`stepflow logs {id}` 显示它的输出" }
    show_says_how(id) { "`stepflow show {id}` says how", "`stepflow show {id}` 说明它如何结束" }
    of_execution(id, why) { "execution {id}: {why}", "执行 {id}：{why}" }

    // What was asked for.
    not_a_status(word) { "`{word}` is not a status", "“{word}”不是状态" }
    not_a_level(word) { "`{word}` is not a level", "“{word}”不是级别" }
    not_a_source(word) { "`{word}` is not a source", "“{word}”不是来源" }
    not_a_code(word) { "`{word}` is not an exit code", "“{word}”不是退出码" }
    a_code() { "a number, as in --not exit=0", "应为数字，如 --not exit=0" }
    not_a_condition(word) { "--not does not know `{word}`", "--not 不认识“{word}”" }
    one_of(words) { "one of {words}", "可选：{words}" }
    bad_pattern(text, error) { "--grep `{text}`: {error}", "--grep“{text}”:{error}" }
    escape_pattern() {
        "it is a regular expression: put \\ before . * + ? ( ) [ ] {{ }} | ^ $",
        "这是正则表达式：请在 . * + ? ( ) [ ] {{ }} | ^ $ 前加 \\"
    }
    neither_line_nor_time(text) {
        "--since `{text}` is neither a line nor a time", "--since“{text}”既不是行号也不是时间"
    }
    lines_and_times() {
        "write 120, 20:15, 2026-11-22T20:15, or 10m, 2h for so long ago",
        "可写 120、20:15、2026-11-22T20:15，或表示多久以前的 10m、2h"
    }
    not_a_time(flag, text) { "{flag} `{text}` is not a time", "{flag}“{text}”不是时间" }
    times() {
        "write 2026-11-22, 2026-11-22T20:15, or 12h, 7d for so long ago",
        "可写 2026-11-22、2026-11-22T20:15，或表示多久以前的 12h、7d"
    }
    no_step(name) { "there is no step `{name}`", "没有步骤“{name}”" }
    has_no_steps() { "it has no steps so far", "它目前没有步骤" }
    steps_are(names) { "the steps are: {names}", "步骤有：{names}" }
    wrong_cursor() { "a wrong cursor", "游标有误" }
    next_before() {
        "--before takes the `next_before` of an earlier list", "--before 的值来自前一个列表的 `next_before`"
    }

    // A command line.
    unknown_flag(flag) { "there is no `{flag}` here", "这里没有“{flag}”" }
    unknown_command(word) { "there is no command `{word}`", "没有命令“{word}”" }
    did_you_mean(word, all) { "did you mean `{word}`? {all}", "是不是 `{word}`？{all}" }
    help_lists(command) { "`{command} --help` shows what there is", "`{command} --help` 列出全部用法" }
    dashes_first() {
        "what is to be run stands behind `--`: stepflow run -- CMD ARG", "要运行的命令写在 `--` 之后：stepflow run -- 命令 参数"
    }
    needs_value(flag) { "{flag} needs a value", "{flag} 需要一个值" }
    wrong_value(value, flag) { "`{value}` is no value for {flag}", "“{value}”不能作为 {flag} 的值" }
    of_flag(flag, cause) { "{flag}: {cause}", "{flag}：{cause}" }
    a_whole_number() { "it is a whole number, from 0", "应为从 0 开始的整数" }
    no_duration(text) {
        "`{text}` is not a duration: try 90s, 10m or 1h30m", "“{text}”不是时长：可写 90s、10m 或 1h30m"
    }
    no_size(text) { "`{text}` is not a size: try 500M or 50G", "“{text}”不是大小：可写 500M 或 50G" }
    problem_matcher(path, why) {
        "the problem matcher {path} is not used: {why}", "未使用问题匹配器 {path}：{why}"
    }
    too_many_matchers(most) { "there are more than {most}", "超过 {most} 个" }
    not_a_file() { "it is not a file", "不是文件" }
    junit(why) { "{why}", "不是有效的测试结果文件模式：{why}" }
    dialects(why) { "{why}", "无法识别的方言列表：{why}" }
    no_stream(map, line) {
        "line {line} of `{map}` is neither 1 (standard output) nor 2 (standard error)",
        "“{map}”第 {line} 行既不是 1（标准输出）也不是 2（标准错误）"
    }
    log_too_small(bytes) {
        "a log of {bytes} bytes cannot keep both its ends: 0 for no limit, or at least 1M",
        "{bytes} 字节的日志无法同时保留首尾：写 0 表示不限，或至少 1M"
    }
    not_as_recorded(count) {
        "executions that are not what was recorded, or cannot be read: {count}",
        "与记录时不一致或无法读取的执行：{count} 次"
    }
    compare_with_backup() {
        "the disk may fail: look at `dmesg`, and restore these executions from a backup",
        "磁盘可能有故障：请查看 `dmesg`，并从备份恢复这些执行"
    }
    nothing_to_prune() { "nothing says what to delete", "没有说明要删除什么" }
    logs_stay_as_they_are(count) {
        "{count} logs stay as they are", "{count} 个日志保持原样"
    }
    verify_says_why() {
        "nothing of them was changed; `stepflow verify ID` says what of a record is proven",
        "它们没有任何改动；`stepflow verify 编号` 会说明记录中哪些内容得到证实"
    }
    give_a_limit() {
        "give --max-age, --max-count or --max-size, or write [[retention]] rules into stepflow.toml",
        "请给出 --max-age、--max-count 或 --max-size，或在 stepflow.toml 中写入 [[retention]] 规则"
    }
    not_name_value() { "expected NAME=VALUE", "应为 名称=值" }
    exclude_each_other(flag, other) { "{flag} and {other} exclude each other", "{flag} 与 {other} 不能同时使用" }
    missing(what) { "{what} is missing", "缺少 {what}" }

    // Where to ask.
    of_this_host() {
        "this command works on this host, not on a server elsewhere", "此命令只在本机有效，不能用于别处的服务器"
    }
    without_server() {
        "leave out --server, or run it on the server's own host", "请去掉 --server，或在服务器所在的主机上运行"
    }
    answers_otherwise(server, error) {
        "{server} answers otherwise than expected: {error}", "{server} 的回答出乎意料：{error}"
    }
    search_broke_off() { "the server's answer broke off before everything was searched", "服务器的回答在搜索完成之前中断" }
    search_again() { "search again; its log says why", "请重新搜索；其日志说明了原因" }
    other_version() {
        "is it another version of StepFlow, or no StepFlow at all?", "它是不是别的版本的 StepFlow，或者根本不是 StepFlow?"
    }
    names_no_server(text) { "`{text}` names no server", "“{text}”不是服务器地址" }
    server_forms() {
        "write http://HOST:PORT, https://HOST or unix:PATH", "请写 http://主机:端口、https://主机 或 unix:路径"
    }
    is_it_running_there() {
        "is it running there (`stepflow serve`), and is the address right?",
        "那里在运行 `stepflow serve` 吗？地址对吗？"
    }
    wrong_token() {
        "the token is wrong, revoked or too old: ask for another", "令牌有误、已撤销或已过期：请另要一个"
    }
    give_token() { "give a token: --token, or STEPFLOW_TOKEN", "请给出令牌：--token 或 STEPFLOW_TOKEN" }
    may_only_look() {
        "this token may only look: ask for one with the scope operator", "此令牌只能查看：请要一个有 operator 权限的"
    }
    server_does_not_say() { "the server does not say what it started", "服务器没有说明它启动了什么" }
    socket_has_no_page() { "a Unix socket has no page", "Unix 套接字没有页面" }
    open_here() { "leave out --server to open the one here", "去掉 --server 即可打开本机的页面" }
    no_server_here() { "no server runs on this storage", "此存储上没有运行服务器" }
    start_server() { "start one with `stepflow serve`", "用 `stepflow serve` 启动一个" }
    ask_its_server() {
        "start the server that accepted it, or try again in a moment", "请启动接受它的服务器，或稍后再试"
    }

    // Records and the catalog.
    another_user() {
        "another user owns the storage; run as that user or pass --storage DIR",
        "存储属于另一个用户：请以该用户运行，或用 --storage 指定目录"
    }
    newer_version() { "a newer StepFlow wrote this; use that version", "这是更新版本的 StepFlow 写的：请用那个版本" }
    cache_can_go() {
        "files in the storage's `cache` can be deleted at any time", "存储的 `cache` 目录中的文件随时可以删除"
    }
    catalog_unreadable() { "the catalog cannot be read", "无法读取目录库" }
    doctor_looks() { "`stepflow doctor` looks for what is wrong", "`stepflow doctor` 会查找问题所在" }
    catalog_is_written() {
        "a server, or another command, writes the catalog now", "有服务器或另一个命令正在写目录库"
    }
    stop_server() {
        "stop the server first; executions that run go on", "请先停止服务器；正在运行的执行不受影响"
    }
    disk_refuses() { "the disk refuses the end of the record", "磁盘无法写入记录的结尾" }
    too_little_room(free, wanted) {
        "the disk has {free} free, and a new execution needs {wanted}",
        "磁盘可用空间为 {free}，而新的执行需要 {wanted}"
    }
    make_room() {
        "free some space (`stepflow doctor` names the largest executions), or lower STEPFLOW_DISK_MIN_FREE",
        "请腾出空间（`stepflow doctor` 会列出最大的执行），或调低 STEPFLOW_DISK_MIN_FREE"
    }
    make_space() { "make space, and try again", "请腾出空间再试" }
    recorder_silent(id) { "the recorder of {id} does not answer", "{id} 的记录进程没有回答" }
    recorder_stopped() {
        "is it stopped (SIGSTOP)? It stops the script as soon as it goes on",
        "它是否被暂停（SIGSTOP）？恢复后它会立即停止脚本"
    }
    recorder_gone() {
        "the recorder is gone and the server has not said so yet", "记录进程已不在，服务器尚未给出结论"
    }
    look_again(id) { "look again with `stepflow show {id}`", "请用 `stepflow show {id}` 再看一次" }
    no_storage_directory() {
        "no storage directory: neither HOME nor XDG_DATA_HOME is set", "没有存储目录：HOME 和 XDG_DATA_HOME 都未设置"
    }
    pass_storage() {
        "pass --storage DIR or set STEPFLOW_STORAGE_PATH", "请用 --storage 指定目录，或设置 STEPFLOW_STORAGE_PATH"
    }
    bad_settings_file(error) { "cannot read stepflow.toml: {error}", "无法读取 stepflow.toml:{error}" }
    settings_are_listed() {
        "docs/reference/configuration.md lists what it may hold", "docs/reference/configuration.md 列出了可用的设置"
    }
    not_yet_upgraded() {
        "this is a storage of the original StepFlow Monitor, not yet upgraded",
        "这是原版 StepFlow Monitor 的存储，尚未升级"
    }
    run_upgrade() {
        "run `stepflow upgrade`, or any command that writes; if one does so just now, wait for its end",
        "请运行 `stepflow upgrade` 或任何会写入的命令；如果正在升级，请等它结束"
    }
    storage_in_use(holder) { "the storage is in use by {holder}", "存储正被{holder}使用" }
    storage_locked(path, holder) {
        "storage `{path}` is in use by {holder}", "存储“{path}”正被{holder}使用"
    }
    original_in_use(path, user) {
        "`{path}` is in use by {user}: it cannot be upgraded now", "“{path}”正被{user}使用：现在无法升级"
    }
    original_changed(path) {
        "`{path}` changed while it was copied: something still writes it", "“{path}”在复制期间发生了变化：仍有程序在写入"
    }
    original_damaged(path, what) {
        "the original's database `{path}` is damaged: {what}", "原版数据库“{path}”已损坏：{what}"
    }
    named_process(pid, name) { "process {pid} ({name})", "进程 {pid}（{name}）" }
    another_process() { "another process", "另一个进程" }
    process(pid) { "process {pid}", "进程 {pid} " }
    server_upgrades() {
        "a server upgrades its storage when it starts; else wait for the other command",
        "服务器启动时会升级它的存储；否则请等另一个命令结束"
    }

    // Settings of the server.
    no_base_path(text, error) { "`{text}` is no base path: {error}", "“{text}”不能作为基础路径：{error}" }
    base_path() { "write it as in /stepflow", "请写成 /stepflow 这样" }
    no_number(name, text) { "{name}=`{text}` is not a number in range", "{name}=“{text}”不是范围内的数字" }
    all_settings() {
        "docs/reference/configuration.md lists all settings", "docs/reference/configuration.md 列出了所有设置"
    }
    neither_true_nor_false(name, text) {
        "{name}=`{text}` is neither true nor false", "{name}=“{text}”既不是 true 也不是 false"
    }
    true_or_false() { "use true or false", "请用 true 或 false" }
    no_address(name, text) { "{name}=`{text}` is not an address", "{name}=“{text}”不是地址" }
    an_address() {
        "use an IP address such as 127.0.0.1 or 0.0.0.0, or `localhost`",
        "请用 127.0.0.1、0.0.0.0 这样的 IP 地址，或 `localhost`"
    }
    no_address_with_port(name, text) {
        "{name}=`{text}` is not an address with a port", "{name}=“{text}”不是带端口的地址"
    }
    such_as(example) { "such as {example}", "例如 {example}" }
    same_setting(one, other) { "{one} and {other} are the same setting", "{one} 与 {other} 是同一个设置" }
    set_one() { "set one of them", "请只设置其中一个" }
    no_such_login(name) {
        "{name} asks for a way to log in that this build does not have", "{name} 要求的登录方式此版本没有"
    }
    which_logins() {
        "unset it: logins are one-time links and tokens, which also are STEPFLOW_AUTH_METHOD=token",
        "请取消设置：登录用一次性链接和令牌，即 STEPFLOW_AUTH_METHOD=token"
    }
    auth_contradicts() {
        "STEPFLOW_AUTH_METHOD=none contradicts authentication that is on",
        "STEPFLOW_AUTH_METHOD=none 与已启用的认证矛盾"
    }
    auth_off() {
        "unset it, or set STEPFLOW_AUTH_ENABLED=false", "请取消设置，或设置 STEPFLOW_AUTH_ENABLED=false"
    }
    key_too_short(count) {
        "STEPFLOW_API_KEY must have at least {count} characters, without white space",
        "STEPFLOW_API_KEY 至少要有 {count} 个字符，且不含空白"
    }
    make_a_key() { "make one with `openssl rand -hex 32`", "可用 `openssl rand -hex 32` 生成" }
    no_log_level(text, error) {
        "STEPFLOW_LOG_LEVEL=`{text}` is no level: {error}", "STEPFLOW_LOG_LEVEL=“{text}”不是级别：{error}"
    }
    log_levels() { "use DEBUG, INFO, WARNING or ERROR", "请用 DEBUG、INFO、WARNING 或 ERROR" }
    no_word(name, text, words) {
        "{name}=`{text}` must be one of {words}", "{name}=“{text}”必须是以下之一：{words}"
    }
    no_log_sync(text) {
        "STEPFLOW_LOG_SYNC=`{text}` must be interval, always or never",
        "STEPFLOW_LOG_SYNC=“{text}”必须是 interval、always 或 never"
    }
    open_to_all(listen) {
        "`--auth off` is possible on a loopback address only, not on {listen}",
        "`--auth off` 只能用于回环地址，不能用于 {listen}"
    }
    cannot_listen(listen, error) { "cannot listen on {listen}: {error}", "无法监听 {listen}：{error}" }
    cannot_use_listener(error) {
        "cannot use the listener that the service manager has opened: {error}",
        "无法使用服务管理器打开的监听套接字：{error}"
    }
    a_tcp_listener() {
        "the socket unit needs one ListenStream= with a port", "socket 单元需要一个带端口的 ListenStream="
    }
    cannot_start_threads(error) { "cannot start the server's threads: {error}", "无法启动服务器线程：{error}" }

    // Running.
    tree_or_pty(word) {
        "--output {word} and --pty exclude each other", "--output {word} 与 --pty 不能同时使用"
    }
    script_draws() {
        "with --pty the script draws the screen itself: raw, json or quiet",
        "使用 --pty 时屏幕由脚本自己绘制：请用 raw、json 或 quiet"
    }
    cannot_start_recorder(error) { "cannot start the recorder: {error}", "无法启动记录进程：{error}" }
    recorder_ended_early() {
        "the recorder ended before the script was started", "记录进程在脚本启动前就结束了"
    }
    recorder_could_not(why) {
        "the recorder could not start the script: {why}", "记录进程无法启动脚本：{why}"
    }
    record_is(path) { "the record is {path}", "记录在 {path}" }
    cannot_watch_signals(error) { "cannot watch signals: {error}", "无法监视信号：{error}" }
    not_utf8(argument) { "the argument {argument} is not valid UTF-8", "参数 {argument} 不是有效的 UTF-8" }
    file_or_variable() { "pass it through a file or a variable", "请通过文件或变量传递" }
    working_directory_gone(error) {
        "the working directory is gone: {error}", "工作目录已不存在：{error}"
    }
    change_directory() { "change to a directory that exists", "请切换到存在的目录" }
    nothing_piped() {
        "nothing is piped in: standard input is a terminal", "没有管道输入：标准输入是终端"
    }
    no_command(id) {
        "execution {id} has no command that could be run again", "执行 {id} 没有可以重新运行的命令"
    }
    came_as_output() {
        "it came in as output of something that ran elsewhere", "它来自别处运行的程序的输出"
    }
    had_secrets(id, names) {
        "execution {id} was run with secrets, whose values are not recorded: {names}",
        "执行 {id} 使用了机密变量，其值没有记录：{names}"
    }
    give_secrets() {
        "set them in the environment, or give them with --env NAME=VALUE",
        "请在环境中设置，或用 --env 名称=值 给出"
    }
    needs_terminal() { "watch needs a terminal that can draw", "watch 需要能绘图的终端" }
    need_none() {
        "`stepflow ls` and `stepflow logs ID -f` need none", "`stepflow ls` 和 `stepflow logs ID -f` 不需要"
    }
    thread_ended() { "the thread that asks has ended", "查询线程已经结束" }
    please_report() {
        "this is a fault of StepFlow's: please report it", "这是 StepFlow 的错误：请报告"
    }
    cannot_stop(error) { "cannot stop: {error}", "无法暂停：{error}" }

    // Files.
    cannot_open(path, error) { "cannot open `{path}`: {error}", "无法打开“{path}”：{error}" }
    cannot_read(path, error) { "cannot read `{path}`: {error}", "无法读取“{path}”：{error}" }
    cannot_write(path, error) { "cannot write `{path}`: {error}", "无法写入“{path}”：{error}" }
    cannot_make(path, error) { "cannot make `{path}`: {error}", "无法创建“{path}”：{error}" }
    another_place() {
        "is the directory there, and may you write to it? Name another place", "目录存在吗？可以写入吗？请换一个地方"
    }
    a_file_or_stdin() { "give a file, or - for standard input", "请给出文件，或用 - 表示标准输入" }
    no_artifact(name) { "there is no artifact `{name}`", "没有产物“{name}”" }
    artifacts_ls_lists() { "`stepflow artifacts ls ID` lists them", "`stepflow artifacts ls ID` 会列出它们" }
    still_copied() {
        "it is still being copied, or there was no file: see `stepflow show`",
        "它仍在复制，或文件不存在：见 `stepflow show`"
    }
    no_artifact_to_get() { "there is no artifact to get", "没有可获取的产物" }
    artifacts_ls_says() {
        "`stepflow artifacts ls ID` says what was announced, and what became of it",
        "`stepflow artifacts ls ID` 说明声明了什么、结果如何"
    }
    no_copy(name, problem) { "there is no copy of `{name}`: {problem}", "没有“{name}”的副本：{problem}" }
    copied_when_announced() {
        "files are copied when the script announces them", "文件在脚本声明时复制"
    }
    many_artifacts(count) {
        "{count} artifacts, one standard output", "有 {count} 个产物，标准输出只有一个"
    }
    name_one() { "name one of them, or a directory with -o", "请指定其中一个，或用 -o 指定目录" }
    no_file_name(name) { "`{name}` is no name for a file", "“{name}”不能作为文件名" }
    name_with_o() { "name a file with -o", "请用 -o 指定文件" }
    is_there(path) { "`{path}` is there already", "“{path}”已存在" }
    force_or_elsewhere() {
        "--force writes over it, -o DIR puts it elsewhere", "--force 会覆盖它，-o 目录 可放到别处"
    }
    arrived_changed(name) { "`{name}` arrived changed", "“{name}”收到时已改变" }
    wrong_digest() {
        "its digest is not the one that was recorded: try again, or see `doctor`",
        "它的摘要与记录的不同：请重试，或运行 `stepflow doctor`"
    }
    json_needs_file() {
        "--json says what was written to a file", "--json 只说明写到文件的内容"
    }
    name_or_no_json() { "name one with -o, or leave out --json", "请用 -o 指定文件，或去掉 --json" }
}

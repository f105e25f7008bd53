//! `--help` in Chinese: what each command and flag is, by its English words. Examples, which are
//! commands themselves, stay; what is said of them does not.

mod after; // what stands below the flags

use clap::{Arg, ArgAction, Command};

/// Where a command's help stands.
const TEMPLATE: &str = "{before-help}{about-with-newline}\n用法：{usage}\n\n{all-args}{after-help}";

/// The command and all below it, in Chinese.
pub fn chinese(command: Command) -> Command {
    let mut command = translated(command);
    command.build(); // Makes the commands called `help`, with their English words.
    with_help(command)
}

fn with_help(command: Command) -> Command {
    command.mut_subcommands(|below| {
        with_help(match below.get_name() {
            "help" => below
                .about("显示此帮助或某个子命令的帮助")
                .help_template(TEMPLATE)
                .subcommand_help_heading("命令"),
            _ => below,
        })
    })
}

fn translated(command: Command) -> Command {
    let about = command.get_about().map(|about| said(&about.to_string()));
    let long = command.get_long_about().map(|about| said(&about.to_string()));
    let after = command.get_after_help().map(|text| after::chinese(&text.to_string()));
    let has_subcommands = command.has_subcommands();
    let has_version = command.get_version().is_some();
    let flag = |name: &'static str, short, action, help: &'static str| {
        Arg::new(name).long(name).short(short).action(action).help(help).help_heading("选项")
    };
    let mut command = command
        .help_template(TEMPLATE)
        .mut_args(argument)
        .disable_help_flag(true)
        .arg(flag("help", 'h', ArgAction::Help, "显示帮助"));
    if has_version {
        command = command.disable_version_flag(true).arg(flag(
            "version",
            'V',
            ArgAction::Version,
            "显示版本",
        ));
    }
    if has_subcommands {
        command = command.subcommand_help_heading("命令");
    }
    if let Some(about) = about {
        command = command.about(about);
    }
    if let Some(long) = long {
        command = command.long_about(long);
    }
    if let Some(after) = after {
        command = command.after_help(after);
    }
    command.mut_subcommands(translated)
}

fn argument(argument: Arg) -> Arg {
    let help = argument.get_help().map(|help| said(&help.to_string()));
    let heading = match argument.get_help_heading() {
        Some("Where to look") => "查询对象",
        _ if argument.is_positional() => "参数",
        _ => "选项",
    };
    let notes = notes(&argument);
    let mut argument = argument.help_heading(heading).hide_env(true);
    // What takes no value has none to hide: clap's own check refuses it.
    if argument.get_action().takes_values() {
        argument = argument.hide_default_value(true).hide_possible_values(true);
    }
    let help = match (help, notes.is_empty()) {
        (Some(help), false) => Some(format!("{help} {notes}")),
        (help, true) => help,
        (None, false) => Some(notes),
    };
    match help {
        // Without a text of its own for `--help`, that is the same.
        Some(help) => argument.help(help.clone()).long_help(help),
        None => argument,
    }
}

/// What clap says in English of a flag: its default, its words, its variable.
fn notes(argument: &Arg) -> String {
    if !argument.get_action().takes_values() {
        return String::new();
    }
    let mut notes = Vec::new();
    let defaults: Vec<_> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if !defaults.is_empty() && !argument.is_hide_default_value_set() {
        notes.push(format!("[默认：{}]", defaults.join(" ")));
    }
    let words = argument.get_possible_values();
    let words: Vec<_> = words
        .iter()
        .filter(|word| !word.is_hide_set())
        .map(clap::builder::PossibleValue::get_name)
        .collect();
    if !words.is_empty() {
        notes.push(format!("[可选：{}]", words.join("、")));
    }
    if let Some(name) = argument.get_env() {
        notes.push(format!("[环境变量：{}]", name.to_string_lossy()));
    }
    notes.join(" ")
}

/// The Chinese words, or the English ones.
fn said(english: &str) -> String {
    let known = ZH.iter().find(|(known, _)| *known == english.trim());
    known.map_or_else(|| english.to_owned(), |(_, chinese)| (*chinese).to_owned())
}

const ZH: &[(&str, &str)] = &[
    // Commands.
    (
        "Runs any script, in any language, and shows, keeps and finds again what it did",
        "运行任何语言的脚本，显示、保存并随时找回它做过的事",
    ),
    (
        "Runs any script, in any language, and shows, keeps and finds again what it did.\n\nA script prints markers such as `STEP_START:Build` and `STEP_COMPLETE:Build`; StepFlow turns its output into steps with status, time and history.",
        "运行任何语言的脚本，显示、保存并随时找回它做过的事。\n\n脚本打印 `STEP_START:Build`、`STEP_COMPLETE:Build` 这样的标记，StepFlow 把输出变成带状态、时间和历史的步骤。",
    ),
    ("Run a command, show its steps, record everything", "运行命令，显示步骤，记录一切"),
    (
        "Be at the terminal of an execution that runs: see its output, type into it",
        "连接到正在运行的执行的终端：查看输出，输入内容",
    ),
    (
        "Run the same again: command, directory, environment, tags, limits",
        "原样重新运行：命令、目录、环境、标签、限制",
    ),
    ("Record what is piped into it, and show its steps", "记录管道输入，并显示其步骤"),
    ("Start the server: page, API, live updates", "启动服务器：页面、API、实时更新"),
    (
        "Print a link that logs a browser in to the running server",
        "打印让浏览器登录到正在运行的服务器的链接",
    ),
    ("List executions, newest first", "列出执行，最新的在前"),
    ("Search the logs of many executions, newest first", "搜索多次执行的日志，最新的在前"),
    ("The text to search for", "要搜索的文本"),
    ("The pattern is a regular expression", "模式是正则表达式"),
    ("Take `a` for `A`", "把 `a` 与 `A` 视为相同"),
    (
        "Show so many lines before and behind each hit, at most 10",
        "在每个匹配前后显示的行数，最多 10",
    ),
    ("At most so many hits of each execution", "每次执行最多显示的匹配数"),
    (
        "Only lines of steps with this name, and of the steps in them",
        "仅这个名称的步骤及其中步骤的行",
    ),
    ("Show one execution: steps, artifacts, warnings", "显示一次执行：步骤、产物、警告"),
    ("Print the log of an execution", "打印一次执行的日志"),
    (
        "Look at executions on the whole screen: list, steps, log, timeline",
        "全屏查看执行：列表、步骤、日志、时间线",
    ),
    (
        "Stop an execution: SIGTERM, ten seconds, SIGKILL. Asked twice: SIGKILL at once",
        "停止执行：SIGTERM，十秒后 SIGKILL；再次请求则立即 SIGKILL",
    ),
    ("List and get the files that a script announced", "列出并获取脚本声明的文件"),
    ("List the artifacts of an execution", "列出一次执行的产物"),
    (
        "Get artifacts: the copies that were made when the script announced them",
        "获取产物：脚本声明时所做的副本",
    ),
    (
        "Write an execution to a file: a page, a trace, or everything",
        "把一次执行写成文件：网页、跟踪或全部内容",
    ),
    ("Print the marker events of any log, as JSON lines", "以 JSON 行打印任何日志中的标记事件"),
    (
        "Look for what is wrong with a storage and its server, and say what to do",
        "检查存储及其服务器的问题，并说明如何处理",
    ),
    ("Measure what this machine can carry, in two minutes", "两分钟内测量这台机器能承载多少"),
    (
        "Measure what this machine can carry, in two minutes\n\nEverything happens in a directory and with servers of its own, which are removed; no storage is touched. Figures stand beside what the machine does without StepFlow in the same run.",
        "两分钟内测量这台机器能承载多少\n\n一切都在自己的目录和服务器中进行，结束后删除；不会触碰任何存储。每个数值旁边是同一次运行中机器不经 StepFlow 所能达到的值。",
    ),
    ("Only these parts [default: all of them]", "仅这些部分 [默认：全部]"),
    ("A look, in a minute: smaller, less exact", "一分钟粗测：规模较小，不太精确"),
    (
        "Executions in the catalog [default: 100000; --quick: 10000]",
        "目录库中的执行数 [默认：100000；--quick：10000]",
    ),
    ("Scripts at once [default: 200; --quick: 50]", "同时运行的脚本数 [默认：200；--quick：50]"),
    (
        "Viewers of one script [default: 200; --quick: 50]",
        "一个脚本的观看者数 [默认：200；--quick：50]",
    ),
    (
        "Output of one script, in millions of bytes [default: 250; --quick: 50]",
        "一个脚本的输出，单位百万字节 [默认：250；--quick：50]",
    ),
    (
        "Streams from elsewhere [default: 500; --quick: 100]",
        "外部流的数量 [默认：500；--quick：100]",
    ),
    (
        "Logs of a million bytes that are searched at once [default: 100; --quick: 40]",
        "同时搜索的日志数，每份一百万字节 [默认：100；--quick：40]",
    ),
    (
        "How long scripts print, at least 2 s [default: 3s; --quick: 2s]",
        "脚本打印多久，至少 2 秒 [默认：3s；--quick：2s]",
    ),
    ("How often each figure is taken", "每个数值测量的次数"),
    (
        "A directory on the disk that is to carry the load; what is made in it is removed [default: beside the storage]",
        "位于将承载负载的磁盘上的目录；其中产生的内容会被删除 [默认：存储旁边]",
    ),
    (
        "Upgrade a storage of the original StepFlow Monitor, in place",
        "就地升级原版 StepFlow Monitor 的存储",
    ),
    (
        "Upgrade a storage of the original StepFlow Monitor, in place\n\nEvery command that writes does it by itself; this one says what it did. The original's database is kept beside the new one, its files stay where they are. Stop the original first.",
        "就地升级原版 StepFlow Monitor 的存储\n\n每个会写入的命令都会自动升级；此命令会说明做了什么。原版数据库保留在新数据库旁边，文件留在原处。请先停止原版。",
    ),
    (
        "Delete old executions, whole: output, artifacts and all",
        "整个删除旧的执行：输出、产物等全部内容",
    ),
    (
        "Delete old executions, whole: output, artifacts and all\n\nThose that are over a limit go, the oldest first. What is pinned and what has not ended stays, and does not count. Without a limit the rules of `stepflow.toml` are kept to.",
        "整个删除旧的执行：输出、产物等全部内容\n\n超出限制的执行会被删除，最旧的先删。已固定的和尚未结束的会保留，也不计数。不给限制时按 `stepflow.toml` 中的规则执行。",
    ),
    (
        "Compress the logs of ended executions; a server does it by itself",
        "压缩已结束执行的日志；服务器会自动完成",
    ),
    (
        "Executions, by id or the beginning or end of one; all if none is given",
        "执行的编号，或编号的开头或结尾；不给则为全部",
    ),
    ("Rebuild the catalog from the records", "由记录重建目录库"),
    (
        "Print what makes a shell complete stepflow's commands, flags and ids",
        "打印用于补全命令、选项和编号的 shell 脚本",
    ),
    ("Write the manual pages into a directory", "把手册页写入目录"),
    // Everywhere.
    (
        "Storage directory [default: storage_path in stepflow.toml, else the user's data directory]",
        "存储目录 [默认：stepflow.toml 中的 storage_path，否则为用户数据目录]",
    ),
    (
        "Ask this server instead of the storage here: http://HOST:PORT, https://HOST, unix:PATH [env: STEPFLOW_SERVER, unless --storage is given]",
        "查询此服务器而不是本机存储：http://主机:端口、https://主机、unix:路径 [环境变量：STEPFLOW_SERVER，除非给出 --storage]",
    ),
    (
        "Who asks that server; better in the environment, where lists of processes do not show it",
        "访问服务器的令牌；最好放在环境变量中，以免出现在进程列表里",
    ),
    ("Print long output as it is, without $PAGER", "直接打印长输出，不经过 $PAGER"),
    (
        "Colours: auto, always, never. NO_COLOR and CLICOLOR_FORCE are heard as well",
        "颜色：auto、always、never；也遵从 NO_COLOR 和 CLICOLOR_FORCE",
    ),
    ("Print JSON", "打印 JSON"),
    (
        "Its id, or an unambiguous beginning or end of it; `last` for the newest",
        "编号，或其无歧义的开头或结尾；`last` 表示最新的",
    ),
    ("Its id, or an unambiguous beginning or end of it", "编号，或其无歧义的开头或结尾"),
    (
        "Its id, or an unambiguous beginning or end of it; `last` for the newest [default: the list]",
        "编号，或其无歧义的开头或结尾；`last` 表示最新的 [默认：列表]",
    ),
    // run, rerun, pipe, attach.
    ("Its name [default: the command]", "名称 [默认：命令]"),
    ("Its name", "名称"),
    ("A word to find it by; may be repeated", "用于查找的标签；可重复"),
    ("Working directory of the script", "脚本的工作目录"),
    ("Set an environment variable; may be repeated", "设置环境变量；可重复"),
    (
        "Set an environment variable, or a secret again; may be repeated",
        "设置环境变量，或再次给出机密；可重复",
    ),
    (
        "Keep this variable's value out of the record; may be repeated",
        "不把此变量的值写入记录；可重复",
    ),
    ("Stop it after this time: 90s, 10m, 1h30m", "超过此时间即停止：90s、10m、1h30m"),
    ("Between SIGTERM and SIGKILL", "SIGTERM 与 SIGKILL 之间的时间"),
    ("Stop the script at the first STEP_ERROR", "遇到第一个 STEP_ERROR 时停止脚本"),
    (
        "Every STEP_ERROR is critical: the execution ends as failed",
        "每个 STEP_ERROR 都是致命的：执行以失败结束",
    ),
    ("Keep standard error apart", "分开记录标准错误"),
    ("How the script's processes are held together", "如何把脚本的进程约束在一起"),
    (
        "What becomes of processes that hold the output after the script's end",
        "脚本结束后仍占用输出的进程如何处理",
    ),
    (
        "What becomes of the script when the disk does not take its output",
        "磁盘写不下其输出时，脚本如何处理",
    ),
    (
        "What becomes of scripts when the disk does not take their output [default: block]",
        "磁盘写不下其输出时，脚本如何处理 [默认：block]",
    ),
    ("What becomes of it when the disk does not take it", "磁盘写不下时如何处理"),
    ("How long their output is still recorded", "还会记录其输出多长时间"),
    ("Bytes of output to keep: 500M, 10G; 0 for all", "保留的输出字节数：500M、10G；0 表示全部"),
    ("What to do when there would be more", "超出时怎么办"),
    (
        "Bytes of output to keep, of executions that do not say; 0 for all [default: 10G]",
        "未指定的执行所保留的输出字节数；0 表示全部 [默认：10G]",
    ),
    ("What to do when there would be more [default: keep-ends]", "超出时怎么办 [默认：keep-ends]"),
    (
        "How scripts' processes are held together, of executions that do not say [default: auto]",
        "未另行说明的执行，如何把其进程约束在一起 [默认：auto]",
    ),
    (
        "What becomes of processes that hold the output after the end [default: kill]",
        "结束后仍占用输出的进程如何处理 [默认：kill]",
    ),
    ("How long their output is still recorded [default: 5s]", "还会记录其输出多长时间 [默认：5s]"),
    ("When output is safe from a power cut", "输出何时不怕断电"),
    (
        "When output is safe from a power cut, of executions that do not say [default: interval]",
        "未另行说明的执行，其输出何时不怕断电 [默认：interval]",
    ),
    ("Give the command, one text, to /bin/sh -c", "把命令作为一段文本交给 /bin/sh -c"),
    (
        "Give the script a terminal: it can ask, colour, draw. All keys are the script's",
        "给脚本一个终端：可以提问、着色、绘图；所有按键都归脚本",
    ),
    ("The command and its arguments", "命令及其参数"),
    ("Print the id and let it run on its own", "打印编号并让它独自运行"),
    ("How to show it", "显示方式"),
    ("Lines of the running step to show in the tree", "树中显示正在运行的步骤的行数"),
    ("Lines of a failed step to show at the end", "结束时显示失败步骤的行数"),
    (
        "Before each line of plain output: step, time, or both",
        "每行普通输出之前：step、time 或两者",
    ),
    ("Only look: type nothing, leave the window's size alone", "只查看：不输入，也不改变窗口大小"),
    (
        "Show the output from its first line on [default: the last screenful]",
        "从第一行开始显示输出 [默认：最后一屏]",
    ),
    (
        "Keys that leave it running: `ctrl-p,ctrl-q`, `ctrl-]`, `~,.`",
        "离开而让它继续运行的按键：`ctrl-p,ctrl-q`、`ctrl-]`、`~,.`",
    ),
    // serve.
    ("Where to listen [default: 127.0.0.1:8080]", "监听地址 [默认：127.0.0.1:8080]"),
    (
        "Who may call: `off` is possible on a loopback address only [default: on]",
        "是否需要登录：只有回环地址才能用 `off` [默认：on]",
    ),
    (
        "Further names under which browsers may reach it; may be repeated",
        "浏览器可用来访问它的其他名称；可重复",
    ),
    (
        "Most executions running at once; more wait [default: 1000]",
        "同时运行的执行数上限，多出的等待 [默认：1000]",
    ),
    (
        "Serve the original's WebSocket here as well, such as 127.0.0.1:8765 [default: nowhere]",
        "同时在此提供原版的 WebSocket，如 127.0.0.1:8765 [默认：不提供]",
    ),
    (
        "Requests a second of one token or login; 0: any number [default: 100]",
        "每个令牌或登录每秒的请求数；0 表示不限 [默认：100]",
    ),
    (
        "Live streams of one token or login; 0: any number [default: 50]",
        "每个令牌或登录的实时流数；0 表示不限 [默认：50]",
    ),
    (
        "Largest file that can be uploaded, in bytes [default: 1073741824]",
        "可上传的最大文件，单位字节 [默认：1073741824]",
    ),
    (
        "Path under which a proxy offers the page and the API, as in `/stepflow`",
        "代理提供页面和 API 的路径，如 `/stepflow`",
    ),
    (
        "How long an ingested stream is waited for when its source, or the server, went away [default: 60s]",
        "接收的流的来源或服务器离开后等待多久 [默认：60s]",
    ),
    (
        "What must be free on the disk before a new execution is accepted: 500M, 5G; 0: nothing [default: 256M, or a hundredth of a smaller disk]",
        "接受新的执行之前磁盘必须有的可用空间：500M、5G；0 表示不限 [默认：256M，较小的磁盘为其百分之一]",
    ),
    (
        "How long after the end of an execution its log is compressed; or off [default: 60s]",
        "执行结束多久后压缩其日志；off 表示不压缩 [默认：60s]",
    ),
    (
        "Take over from the server that runs on this storage, without downtime; without one, start",
        "接替正在此存储上运行的服务器，服务不中断；没有时照常启动",
    ),
    ("Show this execution", "显示此执行"),
    // ls.
    (
        "Only those with this status: pending, running, completed, failed or cancelled",
        "仅此状态：pending、running、completed、failed 或 cancelled",
    ),
    ("Only those with this tag", "仅有此标签的"),
    ("Only those with this name", "仅此名称的"),
    ("Only those whose name contains this", "仅名称包含此文字的"),
    ("Only those of this user", "仅此用户的"),
    ("Only those whose script exited with this code", "仅脚本以此退出码结束的"),
    (
        "Only those that came in this way: cli, server, ingest, pipe or import",
        "仅此来源：cli、server、ingest、pipe 或 import",
    ),
    ("Only those that took longer than this: 90s, 10m, 1h30m", "仅耗时超过此值的：90s、10m、1h30m"),
    ("Only those that took less than this", "仅耗时少于此值的"),
    (
        "None of which this holds: status=, tag=, search=, user=, exit= or source=; may be repeated",
        "排除符合的：status=、tag=、search=、user=、exit= 或 source=；可重复",
    ),
    (
        "Only those created at or after this: 2026-11-22, 2026-11-22T20:00, or 12h, 7d ago",
        "仅在此时间或之后创建的：2026-11-22、2026-11-22T20:00，或多久以前：12h、7d",
    ),
    ("Only those created before this", "仅在此时间之前创建的"),
    ("Only those that are pinned", "仅已固定的"),
    (
        "The order: newest first, or by duration, which leaves out those that have not ended",
        "顺序：最新的在前，或按时长，此时不含未结束的",
    ),
    (
        "Go on behind an earlier list of the same order: its `next_before`",
        "接着同一顺序的前一个列表：它的 `next_before`",
    ),
    ("At most this many", "最多显示的数量"),
    // logs.
    ("Follow until the execution ends", "跟随直到执行结束"),
    (
        "Exit as the script did, like `run`, once it has ended",
        "结束后以脚本的退出码退出，如同 `run`",
    ),
    (
        "Only lines of this step and the steps in it (name or [id=…])",
        "仅此步骤及其子步骤的行（名称或 [id=…]）",
    ),
    (
        "Only from this line on (120), or from this time on (20:15, 2026-11-22T20:15, 10m ago)",
        "仅从此行（120）或此时间（20:15、2026-11-22T20:15、10m 以前）开始",
    ),
    ("Only the last N of the lines that remain", "仅剩余行中的最后 N 行"),
    (
        "Only lines of these levels: error, warning, notice, debug, other",
        "仅这些级别的行：error、warning、notice、debug、other",
    ),
    ("Only lines that this regular expression is found in", "仅包含此正则表达式的行"),
    ("--grep takes `a` for `A`", "--grep 不区分大小写"),
    (
        "Show line numbers and times [utc if no mode is given]",
        "显示行号和时间 [未给出方式时为 utc]",
    ),
    ("Show line numbers", "显示行号"),
    ("The recorded bytes, unchanged", "原样输出记录的字节"),
    // Others.
    (
        "Let the mouse wheel scroll; the terminal's own selection then needs Shift",
        "用鼠标滚轮滚动；此时选择文字需按住 Shift",
    ),
    ("All that run or wait", "所有正在运行或等待的"),
    (
        "Names, paths or ids of artifacts [default: all of them]",
        "产物的名称、路径或编号 [默认：全部]",
    ),
    (
        "A directory (made if it ends in /), a file for a single one, or - for standard output",
        "目录（以 / 结尾则创建）、单个产物的文件，或用 - 表示标准输出",
    ),
    ("Write over files that are there", "覆盖已有文件"),
    ("What to write", "写出的内容"),
    (
        "The file; - for standard output [default: standard output, on a terminal NAME-ID.html or so]",
        "文件；- 表示标准输出 [默认：标准输出，在终端上为 NAME-ID.html 等]",
    ),
    ("A file, or - for standard input", "文件，或用 - 表示标准输入"),
    (
        "Markers to read, of executions that do not say: auto, none, native, github, … [default: auto]",
        "读取哪些标记，用于未指定的执行：auto、none、native、github…… [默认：auto]",
    ),
    (
        "Read test results from these JUnit XML files when it has ended; may be repeated",
        "结束时从这些 JUnit XML 文件读取测试结果；可重复",
    ),
    (
        "JUnit XML files to read test results from, of executions that do not say; may be repeated",
        "读取测试结果的 JUnit XML 文件，用于未指定的执行；可重复",
    ),
    (
        "List the tests that an execution ran: what failed first, and what the past says of it",
        "列出一次执行的测试：失败的在前，并与以往对比",
    ),
    ("Only those that ended so; several with commas", "仅如此结束的；多个以逗号分隔"),
    ("Only those of which the past says this", "仅与以往对比得出此结论的"),
    ("Only those with this in name, suite or message", "仅名称、套件或消息中含有此内容的"),
    (
        "Only those of this dialect; `all` for every one [default: the one that reports on purpose]",
        "仅此方言的；`all` 表示全部 [默认：专门报告测试的那个]",
    ),
    ("How many at most [default: all]", "最多多少个 [默认：全部]"),
    ("Below their suites [default: on a terminal]", "按套件分组 [默认：在终端上]"),
    ("One a line [default: where there is no terminal]", "每行一个 [默认：没有终端时]"),
    ("In which order", "顺序"),
    ("Print which dialects were found, and why", "打印发现了哪些方言及原因"),
    (
        "A file with one digit for each line: 1 standard output, 2 standard error",
        "每行一个数字的文件：1 为标准输出，2 为标准错误",
    ),
    (
        "How the script ended: what is open at the end of the log is judged by it",
        "脚本如何结束：日志末尾仍未结束的步骤据此判定",
    ),
    (
        "Markers to read: auto, none, native, github, gitlab, … or several: auto,github",
        "读取哪些标记：auto、none、native、github、gitlab……或多个：auto,github",
    ),
    (
        "Let the script find itself in another system, so that helpers print its markers",
        "让脚本认为自己运行在另一系统中，使辅助工具打印其标记",
    ),
    ("Print the resulting steps as a tree", "把得到的步骤打印成树"),
    ("Compare the catalog's indexes with its tables as well", "同时比较目录库的索引与表"),
    ("Those that ended longer ago than this", "结束时间早于此的"),
    ("All but the newest so many", "除最新的若干次以外的全部"),
    (
        "All but the newest whose output and artifacts have so many bytes together: 500M, 50G",
        "除最新的、输出与产物合计不超过此大小的以外的全部：500M、50G",
    ),
    (
        "Only those with such a name: * is any text, ? one character",
        "仅名称符合的：* 为任意文本，? 为一个字符",
    ),
    ("Delete nothing, say what would be deleted", "不删除，只说明将删除什么"),
    ("Copy the whole storage, while it is used", "在使用中复制整个存储"),
    (
        "Copy the whole storage, while it is used\n\nAll of it the first time, later what is new or changed; what is no longer in the storage is removed there too. What had ended when it began is in it complete, and what still runs as far as it is recorded. The directory is laid out as a storage is.",
        "在使用中复制整个存储\n\n第一次复制全部，以后只复制新增或有变化的；存储中不再存在的，备份中也会移除。开始备份时已结束的执行是完整的，仍在运行的执行备份到已记录的部分。该目录的布局与存储相同。",
    ),
    ("Where to: nothing yet, or an earlier backup", "目标：尚不存在的目录，或以前的备份"),
    ("Bring a backup back to where no storage is yet", "把备份恢复到尚无存储的位置"),
    (
        "Bring a backup back to where no storage is yet\n\nEvery byte is held against its checksum on the way. What still ran when it was backed up has ended as lost, with its output up to then.",
        "把备份恢复到尚无存储的位置\n\n恢复时会用校验和核对每个字节。备份时仍在运行的执行会以丢失结束，并保留到那时为止的输出。",
    ),
    ("The directory that `stepflow backup` was given", "`stepflow backup` 所用的目录"),
    ("Hold every byte against its checksum", "用校验和核对每个字节"),
    (
        "Hold every byte against its checksum\n\nOutput, events, notes and artifacts of these executions, or of all, while they are used. Says what is proven and what is not; exits with 1 if anything is not what was recorded.",
        "用校验和核对每个字节\n\n核对这些执行（或全部执行）的输出、事件、附注和产物，可在使用中进行。说明哪些已证明、哪些未证明；如有任何内容与记录时不一致，则以 1 退出。",
    ),
    (
        "Only these: ids, beginnings or ends of ids, or `last`",
        "仅这些：ID、ID 的开头或结尾，或 `last`",
    ),
    ("The shell", "shell 的种类"),
    ("The directory; it is made if it is not there", "目录；不存在则创建"),
];

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn english(command: &Command, found: &mut Vec<String>) {
        if command.is_hide_set() {
            return;
        }
        found.extend(command.get_about().map(ToString::to_string));
        found.extend(command.get_long_about().map(ToString::to_string));
        found.extend(command.get_arguments().filter_map(Arg::get_help).map(ToString::to_string));
        for below in command.get_subcommands() {
            english(below, found);
        }
    }

    #[test]
    fn every_command_and_flag_has_chinese_words_and_none_is_left_over() {
        let mut all = Vec::new();
        english(&crate::args::Args::command(), &mut all);
        let missing: Vec<_> = all.iter().filter(|text| said(text) == **text).collect();
        assert!(missing.is_empty(), "{missing:#?}");
        for (known, _) in ZH {
            assert!(all.iter().any(|text| text.trim() == *known), "nobody says: {known}");
        }
    }

    #[test]
    fn c9_the_command_is_whole_in_chinese() {
        let mut command = chinese(crate::args::Args::command());
        command.clone().debug_assert();
        let mut helps = vec![command.render_long_help().to_string()];
        helps.extend(command.get_subcommands_mut().flat_map(|below| {
            [below.render_help().to_string(), below.render_long_help().to_string()]
        }));
        assert!(helps.iter().any(|help| help.contains("[默认：10s]")));
        for help in helps {
            for english in
                ["[default", "[possible", "Possible", "[env", "Usage", "Print", "Example"]
            {
                assert!(!help.contains(english), "{english}: {help}");
            }
        }
    }
}

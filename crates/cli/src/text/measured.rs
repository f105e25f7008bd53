//! What `stepflow bench` measured.

use stepflow_bench::{Part, Unit, What};

messages! {
    // Words of its report.
    machine(version, cores, processor, gigabytes, kernel, disk) {
        "stepflow {version} on {cores} cores ({processor}), {gigabytes} GB, Linux {kernel}, {disk}",
        "stepflow {version}，{cores} 核（{processor}），{gigabytes} GB，Linux {kernel}，{disk}"
    }
    busy(load) {
        "The machine was busy before it began (load {load}): figures are lower than they could be, ratios less so.",
        "开始之前机器已有负载（{load}）：数值会低于应有水平，比值受影响较小。"
    }
    in_memory() {
        "The directory is in memory: what is synced to it costs nothing. Name one on a disk with --dir.",
        "该目录位于内存中：同步不花时间。请用 --dir 指定磁盘上的目录。"
    }
    measuring(part) { "measuring {part} …", "正在测量 {part} …" }
    measured() { "measured", "实测" }
    spread() { "lowest – highest", "最低 – 最高" }
    limit() { "without us", "机器极限" }
    ratio() { "ratio", "比值" }
    bar() { "bar", "标准" }
    good() { "ok", "正常" }
    bad() { "SHORT", "不足" }
    bar_from(size) { "for {size}", "适用于 {size}" }

    // The verdict.
    carries(streams, slow) {
        "It carries {streams} scripts of 10 lines a second at once: no line lost, 99 of 100 lines are with their viewer within {slow}.",
        "可同时承载 {streams} 个每秒 10 行的脚本：不丢行，99% 的行在 {slow} 内到达观看者。"
    }
    carries_not(streams, lost) {
        "It does NOT carry {streams} scripts of 10 lines a second at once: {lost} lines did not reach their viewer as printed.",
        "无法同时承载 {streams} 个每秒 10 行的脚本：{lost} 行未能如实到达观看者。"
    }
    starts(rate) { "It starts {rate} scripts a second.", "每秒可启动 {rate} 个脚本。" }
    takes(rate) { "One script may print {rate}.", "单个脚本每秒可输出 {rate}。" }
    answers(rate, executions) {
        "It answers {rate} requests a second for a list, over {executions} executions.",
        "在 {executions} 次执行上，每秒可应答 {rate} 个列表请求。"
    }
    keeps(rate) { "The catalog takes {rate} operations a second.", "目录库每秒可处理 {rate} 个操作。" }
    all_well() { "Everything is as it should be.", "一切符合标准。" }
    not_judged(count) {
        "Bars that are meant for more than was measured: {count}. `--megabytes 1000`, `--streams 500` and `--records 10000` measure as much.",
        "有 {count} 项标准适用于更大的规模：可用 `--megabytes 1000`、`--streams 500`、`--records 10000` 测量。"
    }
    short(count, what) {
        "Not as it should be: {count} ({what}).", "未达标准：{count} 项（{what}）。"
    }
    took(seconds) { "Took {seconds}.", "用时 {seconds}。" }

    // Failures.
    not_measured() { "cannot measure", "无法测量" }
}

/// What a figure is about.
pub fn what(what: What) -> String {
    macro_rules! said {
        ($($what:ident $english:literal $chinese:literal;)+) => {
            match (what, super::locale().language) {
                $(
                    (What::$what, super::Language::English) => $english,
                    (What::$what, super::Language::Chinese) => $chinese,
                )+
            }
        };
    }
    said! {
        Health "health; connections" "健康检查；连接数";
        List "list of 10; connections" "10 项列表；连接数";
        ListOfStatus "list of one status; connections" "单一状态列表；连接数";
        Statistics "statistics; connections" "统计；连接数";
        BusyListMedian "list while scripts start, median; connections" "启动脚本时的列表，中位数；连接数";
        BusyListSlow "list while scripts start, p99; connections" "启动脚本时的列表，p99；连接数";
        BusyStarts "scripts started meanwhile; wanted" "期间启动的脚本；目标";
        Mixed "6 reads, 4 writes of 10; workers" "每 10 次 6 读 4 写；并发";
        MixedReadSlow "of these a read, p99; workers" "其中读取，p99；并发";
        MixedWriteSlow "of these a write, p99; workers" "其中写入，p99；并发";
        Durable "single durable writes; callers" "单次持久写入；并发";
        DurableSlow "single durable write, p99; callers" "单次持久写入，p99；并发";
        CaptureQuiet "run --output quiet, markers; MB" "run --output quiet，含标记；MB";
        CaptureRaw "run --output raw, markers; MB" "run --output raw，含标记；MB";
        CapturePlain "run --output quiet, no markers; MB" "run --output quiet，无标记；MB";
        CaptureDialects "run --dialect auto, beside none; MB" "run --dialect auto，与 none 相比；MB";
        CaptureDurable "run --output quiet, and a synced copy; MB" "run --output quiet，对比落盘的副本；MB";
        CaptureUnsynced "run --log-sync never, no markers; MB" "run --log-sync never，无标记；MB";
        CaptureSpeed "output of one script; MB" "单个脚本的输出；MB";
        StreamsLost "lines lost or twice; scripts" "丢失或重复的行；脚本数";
        StreamsMedian "line to viewer, median; scripts" "行到观看者，中位数；脚本数";
        StreamsSlow "line to viewer, p99; scripts" "行到观看者，p99；脚本数";
        StreamsCpu "of one core; scripts" "占单核；脚本数";
        StreamsMemory "memory (PSS); scripts" "内存（PSS）；脚本数";
        StreamMemory "memory (PSS) of each; scripts" "每个的内存（PSS）；脚本数";
        StreamsResident "memory (RSS); scripts" "内存（RSS）；脚本数";
        Start "scripts that start and end; in all" "启动并结束的脚本；总数";
        StartFailed "starts at once that failed; in all" "同时启动而失败的；总数";
        FanoutLost "lines lost or twice; viewers" "丢失或重复的行；观看者";
        FanoutMedian "line to viewers, median; viewers" "行到观看者，中位数；观看者";
        FanoutSlow "line to viewers, p99; viewers" "行到观看者，p99；观看者";
        FanoutStopped "delay by stopped viewers; viewers" "停顿的观看者造成的延迟；观看者";
        Serving "killed, serves again; scripts" "被杀后恢复服务；脚本数";
        CaughtUp "killed, caught up; scripts" "被杀后追上；脚本数";
        RecoveryLost "scripts lost by it; scripts" "因此丢失的脚本；脚本数";
        ColdStart "start until it serves; executions" "启动至可服务；执行数";
        CatalogBytes "catalog, of each; executions" "目录库，每次执行；执行数";
        RecordBytes "record of 12 lines, 3 steps" "12 行 3 步的记录";
        IndexShare "index, of the output" "索引占输出";
        Search "search for one line; MB" "搜索一行；MB";
        FilterShare "filters, of the output; logs" "过滤器占输出；日志数";
        SearchAll "search in many logs; logs of 1 MB" "搜索多份日志；1 MB 日志数";
        IngestLost "lines lost or twice; streams" "丢失或重复的行；流";
        IngestSlow "line to viewer, p99; streams" "行到观看者，p99；流";
        IngestMemory "memory of the server; streams" "服务器内存；流";
        Idle "memory of that server; executions" "该服务器的内存；执行数";
    }
    .to_owned()
}

/// A part, for people.
pub fn part(part: Part) -> String {
    match super::locale().language {
        super::Language::English => part.as_str().to_owned(),
        super::Language::Chinese => {
            let name = match part {
                Part::Api => "接口",
                Part::Catalog => "目录库",
                Part::Capture => "记录输出",
                Part::Streams => "并发脚本",
                Part::Start => "启动",
                Part::Fanout => "多人观看",
                Part::Recovery => "恢复",
                Part::Storage => "存储",
                Part::Ingest => "外部流",
            };
            format!("{name} {}", part.as_str())
        }
    }
}

/// A value with its unit, which is the same in every language.
pub fn unit(unit: Unit, value: &str) -> String {
    match unit {
        Unit::PerSecond => format!("{value}/s"),
        Unit::Ms => format!("{value} ms"),
        Unit::Seconds => format!("{value} s"),
        Unit::MbPerSecond => format!("{value} MB/s"),
        Unit::Mb => format!("{value} MB"),
        Unit::Percent => format!("{value} %"),
        Unit::Bytes => format!("{value} B"),
        Unit::Count => value.to_owned(),
        Unit::Times => format!("{value} x"),
    }
}

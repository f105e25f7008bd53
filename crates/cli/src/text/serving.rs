//! What `serve` and `upgrade` say of what they do.

messages! {
    // A server.
    listening(url) { "listening on {url}", "正在监听 {url}" }
    legacy_ws(address) {
        "the original's WebSocket is served on ws://{address}", "原版的 WebSocket 位于 ws://{address}"
    }
    log_in_once(url) { "log in once, within 10 minutes: {url}", "请在 10 分钟内登录，限一次：{url}" }
    open_makes_links() { "`stepflow open` makes another link", "`stepflow open` 可再生成一个链接" }
    stopped() { "stopped; running executions go on", "已停止；正在运行的执行会继续" }

    taking_over(process) { "taking over from process {process}", "正在接替进程 {process}" }
    taken_over(process) {
        "process {process} has taken over; running executions go on",
        "进程 {process} 已接替；正在运行的执行会继续"
    }

    // Settings without an effect.
    warning(what) { "warning: {what}", "警告：{what}" }
    no_effect(name, why) { "{name} has no effect: {why}", "{name} 不起作用：{why}" }
    never_buffered() {
        "output is never buffered in the server; every viewer reads the record at its own pace",
        "服务器从不缓冲输出；每个查看者按自己的速度读取记录"
    }
    one_way_of_running() {
        "there is one way of running, for development and production", "开发与生产的运行方式相同"
    }
    no_effect_without(name, other) {
        "{name} has no effect without {other}", "没有 {other} 时 {name} 不起作用"
    }
    auth_is_off() { "authentication is off", "认证已关闭" }

    // An upgrade.
    upgraded(count, seconds, backup) {
        "upgraded {count} executions of the original StepFlow Monitor in {seconds} s; its database is kept as {backup}",
        "已在 {seconds} 秒内升级原版 StepFlow Monitor 的 {count} 次执行；其数据库保留为 {backup}"
    }
    nothing_to_upgrade(path) { "nothing to upgrade: {path}", "无需升级：{path}" }
    executions(count) { "executions  {count}", "执行      {count}" }
    steps(count) { "steps       {count}", "步骤      {count}" }
    log_lines(count) { "log lines   {count}", "日志行    {count}" }
    artifacts(count, files) {
        "artifacts   {count} ({files} with a file)", "产物      {count}（{files} 个有文件）"
    }
    repaired(what, count) { "{what}: {count}", "{what}：{count}" }
    to_go_back(backup) { "to go back, restore {backup}", "如需退回，请恢复 {backup}" }
    interrupted() { "executions without an end, counted as failed", "没有结尾的执行，记为失败" }
    rows_missing() {
        "executions of which only steps or artifacts were saved, listed now", "只保存了步骤或产物的执行，现已列出"
    }
    steps_closed() {
        "steps without an end, ended with what followed them", "没有结尾的步骤，以其后的内容结束"
    }
    steps_found() { "logs without a step, given one", "没有步骤的日志，已补上步骤" }
    lines_without_time() {
        "log lines without a time, given that of the line before", "没有时间的日志行，采用前一行的时间"
    }
    logs_unreadable() { "logs that could not be read to their end", "未能读到末尾的日志" }
    values_unreadable() {
        "values that are not what their columns hold, kept as text", "与列类型不符的值，保留为文本"
    }
    kept() {
        "executions with the id of a record that is here already, left out", "编号与已有记录相同的执行，已略过"
    }
    copying() { "upgrading: copying the original's database", "正在升级：复制原版数据库" }
    finishing(count) { "upgrading: {count} executions, finishing", "正在升级：{count} 次执行，即将完成" }
    converting(percent, done, total, rate) {
        "upgrading: {percent} %  {done} of {total} executions, {rate}/s", "正在升级：{percent} %  {done}/{total} 次执行，每秒 {rate} 次"
    }
}

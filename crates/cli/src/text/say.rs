//! What commands say of what they found and did.

messages! {
    // Lists.
    nothing_here() {
        "nothing has run here yet: try `stepflow run -- CMD`", "这里还没有运行过任何东西：试试 `stepflow run -- 命令`"
    }
    none_matches() { "no execution matches", "没有符合条件的执行" }
    shown_of(count, total) {
        "{count} of {total}; -n shows more, --before goes on", "{total} 次中的 {count} 次；-n 显示更多，--before 继续"
    }
    more_hits() { "there may be more in this one: -m shows more of it", "这次执行中可能还有更多：-m 可显示更多" }
    executions(count) { "{count} executions", "{count} 次执行" }

    // Of one execution.
    source() { "source", "来源" }
    command() { "command", "命令" }
    directory() { "directory", "目录" }
    rerun_of() { "rerun of", "重新运行自" }
    tags() { "tags", "标签" }
    meta() { "meta", "元数据" }
    record() { "record", "记录" }
    artifact() { "artifact", "产物" }
    containment() { "contained", "约束" }
    printed() { "output", "输出" }
    stored(printed, stored) { "{printed}, {stored} on disk", "{printed}，占用磁盘 {stored}" }
    stored_compressed(printed, stored) {
        "{printed}, {stored} on disk (compressed)", "{printed}，占用磁盘 {stored}（已压缩）"
    }
    unresponsive() { "recorder does not answer", "记录进程没有回答" }
    being_copied() { "being copied", "正在复制" }
    bytes(count) { "{count} bytes", "{count} 字节" }

    // Of a log that is parsed.
    warned(line, what) { "line {line}: {what}", "第 {line} 行：{what}" }
    tests(dialect, passed, failed, error, skipped, todo) {
        "tests ({dialect}): {passed} passed, {failed} failed, {error} errors, {skipped} skipped, {todo} todo",
        "测试（{dialect}）：{passed} 通过，{failed} 失败，{error} 错误，{skipped} 跳过，{todo} 待办"
    }
    no_tests() { "it told of no tests", "它没有报告任何测试" }
    no_test_matches() { "no test matches", "没有符合条件的测试" }
    tests_ended(passed, failed, skipped) {
        "{passed} passed, {failed} failed, {skipped} skipped", "{passed} 通过，{failed} 失败，{skipped} 跳过"
    }
    tests_more(count) { "{count} more", "另有 {count} 个" }
    tests_took(time) { "{time} in all", "共 {time}" }
    tests_newly_failing(count) { "{count} newly failing", "{count} 个新失败" }
    tests_still_failing(count) { "{count} still failing", "{count} 个仍失败" }
    tests_fixed(count) { "{count} fixed", "{count} 个已修复" }
    tests_flaky(count) { "{count} flaky", "{count} 个不稳定" }
    test_newly_failing() { "newly failing", "新失败" }
    test_failing_since(time) { "failing since {time}", "自 {time} 起失败" }
    test_fixed() { "fixed", "已修复" }
    test_flaky() { "flaky", "不稳定" }
    test_new() { "new", "新增" }
    test_attempts(count) { "{count} tries", "尝试 {count} 次" }
    test_line(line) { "line {line}", "第 {line} 行" }
    no_suite() { "(no suite)", "（无套件）" }
    dialect_found(line, sign) { "found in line {line}: {sign}", "于第 {line} 行发现：{sign}" }
    dialect_not_found(sign) { "not found: no line with {sign}", "未发现：没有包含下列内容的行：{sign}" }
    dialect_named(sign) { "named, and not found: no line with {sign}", "已指定，但未发现：没有包含下列内容的行：{sign}" }
    dialect_by_name() { "off: only where it is named (--dialect)", "关闭：仅在指定时启用（--dialect）" }
    dialect_off() { "off", "关闭" }
    sign_github() { "a known ::command:: at its start", "行首的已知 ::命令::" }
    sign_gitlab() { "section_start or section_end, with its erase code", "section_start 或 section_end 及其擦除码" }
    sign_azure() { "a known ##[word] at its start, or ##vso[area.action]", "行首的已知 ##[词]，或 ##vso[area.action]" }
    sign_teamcity() { "a whole ##teamcity[message]", "完整的 ##teamcity[消息]" }
    sign_travis() { "travis_fold or travis_time, with its carriage return", "travis_fold 或 travis_time 及其回车符" }
    sign_buildkite() {
        "--- :emoji: text, ^^^ +++, or an inline link; plain --- and +++ only where it is named",
        "--- :emoji: 文本、^^^ +++ 或内嵌链接；单独的 --- 与 +++ 仅在指定时有效"
    }
    sign_tap() {
        "TAP version 13 or 14, or a plan beside its first point",
        "TAP version 13 或 14，或紧邻第一个测试点的计划行"
    }
    sign_nextest() { "Nextest run ID", "Nextest run ID 行" }
    sign_pytest() { "=== test session starts ===", "=== test session starts === 行" }
    sign_cargo() {
        "an aligned verb of cargo, error or warning with --> FILE:LINE, or running N tests and a test",
        "对齐的 cargo 动词、带 --> 文件:行 的 error 或 warning，或 running N tests 及其测试"
    }
    sign_go_test() {
        "=== RUN   Test, a package line, or a record of -json",
        "=== RUN   测试、包的结果行，或 -json 的记录"
    }
    sign_ctest() { "Test project /DIRECTORY", "Test project /目录" }
    sign_tqdm() { "a bar with its percentage and counts", "带百分比与计数的进度条" }
    sign_make() { "the wording of its directories and errors", "其目录和错误的措辞" }
    sign_ninja() { "`ninja: ` or [1/T] and [2/T] in a row", "`ninja: `，或连续的 [1/T] 和 [2/T]" }
    sign_cmake_make() { "a percentage and a word of CMake's", "百分比和 CMake 的词" }
    sign_gcc_diag() {
        "FILE:LINE: error: or warning: of a source file", "源文件的 FILE:LINE: error: 或 warning:"
    }
    sign_xtrace() { "`+ COMMAND` on standard error", "标准错误上的 `+ 命令`" }
    sign_matcher() { "a line that its expressions fit", "符合其表达式的行" }
    sign_docker() {
        "#1 [internal] load ..., or #0 building with \"NAME\" instance",
        "#1 [internal] load ...，或 #0 building with \"NAME\" instance"
    }
    sign_ansible() {
        "PLAY [name] or TASK [name], with its stars",
        "PLAY [名称] 或 TASK [名称] 及其星号"
    }
    sign_npm() {
        "> package@version script after a blank line, and > command below it",
        "空行之后的 > package@version script 及其下一行 > command"
    }
    sign_terraform() {
        "a resource's address and Creating..., Destroying... or the like",
        "资源地址与 Creating...、Destroying... 等"
    }
    sign_gradle() { "> Task :path", "> Task :path" }
    sign_maven() {
        "[INFO] ---< group:artifact >---, or a goal's line",
        "[INFO] ---< group:artifact >--- 或目标（goal）行"
    }
    sign_turbo() { "• turbo and its version", "• turbo 及其版本" }
    sign_other() { "anything of it", "其任何内容" }

    // Of a log.
    missing_here(why) { "~~~ output is missing here: {why}", "~~~ 此处缺少输出：{why}" }
    bytes_more(count) { "[{count} bytes more: --raw]", "[另有 {count} 字节：--raw]" }
    trying_again(why) { "{why}; trying again until it answers", "{why}；将重试直到它回答" }

    // Done.
    asked_to_stop(id) { "{id}  asked to stop", "{id}  已请求停止" }
    nothing_runs() { "nothing is running", "没有正在运行的执行" }
    indexed(count) { "{count} executions indexed", "已为 {count} 次执行建立索引" }
    set_aside(path, what) {
        "the catalog was damaged ({what}): it stands in `{path}` now", "目录库已损坏（{what}）：它现在位于 `{path}`"
    }
    tokens_lost() {
        "tokens, logins and saved searches could not be taken over: make tokens anew",
        "令牌、登录和已保存的搜索无法接管：请重新创建令牌"
    }
    left_out(id, why) { "left out: {id}: {why}", "已略过：{id}：{why}" }
    backing_up(done, of) { "backing up: {done} of {of} executions", "正在备份：{of} 次执行中的 {done} 次" }
    backed_up(executions, copied, bytes) {
        "{executions} executions are in the backup: {copied} new or changed, {bytes} copied",
        "备份中有 {executions} 次执行：{copied} 次为新增或有变化，复制了 {bytes}"
    }
    removed_there(count) {
        "{count} that are no longer here are removed there", "已从备份中移除这里不再存在的 {count} 次"
    }
    backed_up_so_far(count) {
        "{count} still ran: they are in it as far as they were recorded", "{count} 次仍在运行：备份到当时已记录的部分"
    }
    restoring(done, of) { "restoring: {done} of {of} executions", "正在恢复：{of} 次执行中的 {done} 次" }
    restored(executions, bytes, of) {
        "restored {executions} executions, {bytes}, as of {of}", "已恢复 {executions} 次执行，{bytes}，截至 {of}"
    }
    verifying(done, of) { "verifying: {done} of {of} executions", "正在校验：{of} 次执行中的 {done} 次" }
    damaged(id, file, what) { "{id} {file}: {what}", "{id} {file}：{what}" }
    not_verified(id, why) { "{id}: {why}", "{id}：{why}" }
    proven(executions, bytes, artifacts, artifact_bytes) {
        "{executions} executions: {bytes} of output and {artifacts} artifacts ({artifact_bytes}) are what was recorded",
        "{executions} 次执行：{bytes} 输出和 {artifacts} 个产物（{artifact_bytes}）与记录时一致"
    }
    logs_take_up(stored) { "the logs take up {stored} on the disk", "日志占用磁盘 {stored}" }
    not_proven(count, bytes) {
        "not proven: the end of {count}, which no recorder ended itself; {bytes} of output were found after a crash",
        "未证明：{count} 次执行的结尾（记录器未能自行结束）；其中 {bytes} 输出是崩溃后找到的"
    }
    still_written(count) { "{count} still run: proven as far as recorded", "{count} 次仍在运行：已证明到已记录的部分" }
    would_be_deleted(count, bytes, of) {
        "would delete {count} of {of} executions: {bytes}", "将删除 {of} 次执行中的 {count} 次：{bytes}"
    }
    at_least_would_be_deleted(count, bytes) {
        "would delete at least {count} executions: {bytes}", "至少将删除 {count} 次执行：{bytes}"
    }
    were_deleted(count, bytes, of) {
        "deleted {count} of {of} executions: {bytes} are free", "已删除 {of} 次执行中的 {count} 次：释放 {bytes}"
    }
    compressing(done, of) {
        "compressing {done} of {of} logs", "正在压缩第 {done} 个日志，共 {of} 个"
    }
    compressed(count, before, after) {
        "compressed {count} logs: {before} on the disk are {after} now",
        "已压缩 {count} 个日志：磁盘占用由 {before} 减为 {after}"
    }
    left_uncompressed(count) {
        "{count} more have not ended, or somebody else is at them",
        "另有 {count} 个尚未结束，或正由其他进程处理"
    }
    no_room_to_compress(id, needed, free) {
        "{id}: {needed} must be free beside its log, and {free} are",
        "{id}：压缩其日志需要 {needed} 可用空间，现有 {free}"
    }
    not_compressed(id, error) {
        "{id}: not compressed: {error}", "{id}：未压缩：{error}"
    }
    left_busy(count) {
        "{count} more are just being ended; prune again", "另有 {count} 次正在结束；请稍后再次清理"
    }
    left_unreadable(count) {
        "{count} more cannot be read and stay; `stepflow doctor` looks at them",
        "另有 {count} 次无法读取，予以保留；`stepflow doctor` 会检查它们"
    }
    no_artifacts() {
        "it announced no artifact: `ARTIFACT:path` in its output does", "它没有声明产物：在输出中打印 `ARTIFACT:路径` 即可"
    }
    copying() { "copying", "复制中" }
    in_the_clear(host) {
        "the token goes to {host} in the clear: use https:// or a tunnel",
        "令牌将以明文发送到 {host}：请用 https:// 或加密隧道"
    }

    // Of a terminal somewhere else.
    following() { "following", "正在跟随" }
    keys_stay_there() { "; keys go to it on its own host alone", "；只能在它所在的主机上输入" }
    takes_no_keys() { ": it was started without --pty and takes no keys", "：它启动时没有 --pty，不接受输入" }
    only_looking() { "only looking", "只查看" }
    leaves_running() { "; Ctrl-C leaves, it goes on", "；按 Ctrl-C 离开，它会继续运行" }
    attached(keys) { "attached; {keys} detaches", "已连接；按 {keys} 断开" }
    detached(id) {
        "detached: it goes on; `stepflow attach {id}` comes back", "已断开：它会继续运行；`stepflow attach {id}` 可再次连接"
    }

    // The whole screen.
    screen_title() { "StepFlow  executions", "StepFlow  执行" }
    away() { "away", "失联" }
    live() { "live", "实时" }
    ended() { "ended", "已结束" }
    following_end() { "following", "跟随" }
    only(levels) { "only {levels}", "仅 {levels}" }
    esc_shows_all() { "no execution matches; Esc shows all", "没有符合条件的执行；按 Esc 显示全部" }
    loading() { "asking …", "正在查询 …" }
    keys_of_list() {
        "Enter open  / name  v status  x select  . act  ? help  q quit", "Enter 打开  / 名称  v 状态  x 选择  . 操作  ? 帮助  q 退出"
    }
    keys_of_one() {
        "/ search  f follow  e error  w wrap  ? help  q quit", "/ 搜索  f 跟随  e 错误  w 换行  ? 帮助  q 退出"
    }
    prompt_search(text) { "/{text}_   (Ctrl-R: regular expression)", "/{text}_   （Ctrl-R：正则表达式）" }
    prompt_regex(text) { "regex/{text}_", "正则/{text}_" }
    prompt_name(text) { "name contains: {text}_", "名称包含：{text}_" }
    prompt_line(text) { "line: {text}_", "行号：{text}_" }
    prompt_act(name) { "{name}: s stop, r run again, Esc", "{name}：s 停止，r 重新运行，Esc" }
    prompt_act_many(count) { "{count} selected: s stop, r run again, Esc", "已选 {count} 次：s 停止，r 重新运行，Esc" }
    prompt_sure(count, text) {
        "{count} executions: type their number, then Enter: {text}_", "共 {count} 次执行：请输入数量并按 Enter：{text}_"
    }
    selected(count) { "{count} selected", "已选 {count} 次" }
    nothing_done() { "not their number: nothing was done", "数量不符：未做任何操作" }
    runs_again(id) { "runs again as {id}", "已重新运行：{id}" }
    run_again(count) { "{count} run again", "已重新运行 {count} 次" }
    stops_asked(asked, ended) { "{asked} asked to stop, {ended} had ended", "{asked} 次已请求停止，{ended} 次早已结束" }
    partly(count, why) { "{count} done, then: {why}", "已完成 {count} 次，随后：{why}" }
    in_browser(url) { "opened in the browser: {url}", "已在浏览器中打开：{url}" }
    page_is(url) { "page: {url}", "页面：{url}" }
    saved(file, size) { "written: {file}  {size}", "已写入：{file}  {size}" }
    saving() { "writing the log …", "正在写入日志 …" }
    no_page() {
        "no server shows it: `stepflow serve` has the page", "没有服务器显示它：`stepflow serve` 提供网页"
    }
    no_line_of_levels() {
        "no line of these levels so far; v shows others", "目前没有这些级别的行；按 v 显示其他级别"
    }
    printed_nothing() { "it printed nothing", "它没有输出" }
    printed_nothing_yet() { "it has printed nothing so far", "它目前没有输出" }
    no_error() { "no error", "没有错误" }
    not_found() { "not found", "未找到" }
    other_end() { "went on at the other end", "已从另一端继续" }
    stop_asked() { "asked to stop", "已请求停止" }
    ended_already() { "it has ended already", "它已经结束" }
    line_copied() { "line copied", "已复制该行" }
    link_copied() { "link copied", "已复制链接" }
    slash_searches() { "/ searches", "按 / 搜索" }
    no_line_number(text) { "`{text}` is not a line number", "“{text}”不是行号" }
    no_room() { "window too small", "窗口太小" }
    help_title() { " keys ", " 按键 " }
    help() {
        "j k        next, previous step; in the list: move\nUp Down    scroll; PgUp PgDn Home End; Left Right\nEnter      open; fold a step       Esc  back\nf          follow                  :    go to line\ne E        next, previous error    v    levels\n/ n N      search, next, previous; Ctrl-R: regex\nw  m  z    wrap, times, without steps\n1 2 Tab    log, timeline           d    save the log\ny c        copy link, copy line (OSC 52)\n.          stop, run again         o    in the browser\nx X        select, select up to here (list)\nmouse      click: choose; wheel: scroll (--mouse)\nq          leave",
        "j k        下一个、上一个步骤；在列表中移动\nUp Down    滚动；PgUp PgDn Home End;Left Right\nEnter      打开；折叠步骤           Esc  返回\nf          跟随                    :    转到行\ne E        下一个、上一个错误      v    级别\n/ n N      搜索、下一个、上一个；Ctrl-R：正则\nw  m  z    换行、时间、隐藏步骤\n1 2 Tab    日志、时间线            d    把日志存到此处\ny c        复制链接、复制该行（OSC 52）\n.          停止、重新运行          o    在浏览器中打开\nx X        选择、选择到此处（列表）\n鼠标       单击选择；滚轮滚动（--mouse）\nq          退出"
    }
}

//! Chinese, simplified.

use std::borrow::Cow;

use super::Text;

/// Sentences of ours that records hold, in English as programs want them. Others are the script's.
pub fn recorded(sentence: &str) -> Cow<'_, str> {
    let between = |before: &str, behind: &str| {
        sentence.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind))
    };
    let said = if let Some(code) = between("the script ended with exit code ", "") {
        format!("脚本以退出码 {code} 结束")
    } else if let Some(signal) = between("signal ", " ended the script") {
        format!("脚本被信号 {signal} 终止")
    } else if let Some(who) = between("cancelled by ", "") {
        format!("已由 {who} 取消")
    } else if let Some(max) = between("the output has reached log_max_bytes (", " bytes)") {
        format!("输出已达到 log_max_bytes（{max} 字节）")
    } else if let Some(path) = between("`", "` does not exist") {
        format!("“{path}”不存在")
    } else {
        match sentence {
            "the time limit was reached" => "已达到时限",
            "how the script ended cannot be known" => "无法得知脚本如何结束",
            "cancelled before its start" => "启动前已取消",
            "everything went away before the start" => "启动前一切都已消失",
            _ => return Cow::Borrowed(sentence),
        }
        .to_owned()
    };
    Cow::Owned(said)
}

pub static TEXT: Text = Text {
    completed: "完成",
    failed: "失败",
    cancelled: "已取消",
    pending: "等待中",
    running: "运行中",
    colon: "：",
    skipped: "已跳过",
    status_columns: 6,

    seconds: |seconds| format!("{seconds}秒"),
    minutes: |minutes, seconds| format!("{minutes}分{seconds}秒"),
    hours: |hours, minutes| format!("{hours}小时{minutes:02}分"),
    tests: |passed, failed, skipped| format!("测试：{passed} 通过，{failed} 失败，{skipped} 跳过"),
    steps: |done, all| format!("步骤 {done}/{all}"),
    some_failed: |count| format!("{count} 个失败"),
    some_skipped: |count| format!("{count} 个跳过"),
    lines: |count, _| format!("{count} 行"),
    warnings: |count, _| format!("{count} 个警告"),
    errors: |count, _| format!("{count} 个错误"),
    line: |number| format!("第 {number} 行"),
    exit: |code| format!("退出码 {code}"),
    usually: |time| format!("通常 {time}"),
    of_about: |time| format!("预计 {time}"),

    more_running: |count| format!("另有 {count} 个正在运行"),
    stops: "Ctrl-C 停止",
    stopping: |time| format!("正在停止：{time}后强制结束，再按 Ctrl-C 立即结束"),
    stopping_at_once: "正在停止 …（再按 Ctrl-C 立即强制结束）",
    killing: "正在强制结束 …",
    ending_with_input: "随输入结束 …（再按 Ctrl-C 立即结束）",
    ending: "正在结束 …",
    disk_full: "已暂停：磁盘已满或故障",

    last_lines: |step| format!("{step} 的最后几行："),
    last_lines_of_all: "最后几行：",
    first_error: |place| format!("首个错误，{place}："),
    more: "详情：",
    page: "页面：",

    warning: "警告",
    hint: "提示",
    error: "错误",
    paused: |why| format!("已暂停：{why}"),
    resumed: "已继续",
    artifact_missing: |why| format!("未收集产物：{why}"),
    goes_on: |step| format!("{step}（续）"),

    now: |name, time| format!("{name}：已运行 {time}"),
    between_steps: "当前没有打开的步骤",
    has_run_for: |time| format!("已 {time}"),
};

# StepFlow markers for shell scripts: source this file.
#
#   . ./stepflow.sh
#   step "Build" make all
#
# It only prints lines (docs/reference/markers.md); without StepFlow they are just lines. Nothing
# here needs more than a POSIX shell: bash, dash, zsh, ksh and busybox sh run it.

# The innermost open step's id, also for scripts that a step calls, so that theirs are inside it.
STEPFLOW_STEP=${STEPFLOW_STEP-}
_stepflow_count=0
_stepflow_open=

# _stepflow_say WORD TEXT: one marker line, whatever the text holds.
_stepflow_say() {
    _stepflow_one_line "$2"
    printf '%s:%s\n' "$1" "$_stepflow_text"
}

_stepflow_one_line() {
    _stepflow_text=$1
    case $1 in
    *"
"*) _stepflow_text=$(printf '%s' "$1" | tr '\n' ' ') ;;
    esac
}

# step NAME COMMAND [ARG...]: runs the command as a step; its status is the step's and ours.
step() {
    if [ "$#" -lt 2 ]; then
        printf 'usage: step NAME COMMAND [ARG...]\n' >&2
        return 2
    fi
    step_begin "$1"
    shift
    # Not `if "$@"`: that would switch off `set -e` inside functions. Where `set -e` ends the
    # script here, the trap below says so.
    "$@"
    step_end "$?"
}

# step_begin NAME: what follows is a step, until step_end or step_fail. May be nested.
step_begin() {
    _stepflow_count=$((_stepflow_count + 1))
    _stepflow_id=sh$$_$_stepflow_count
    # In a subshell the count starts where it was outside: its own process tells them apart.
    if _stepflow_in_subshell; then
        _stepflow_id=sh$$_${_stepflow_pid}_$_stepflow_count
    fi
    _stepflow_say STEP_START "$1 [id=$_stepflow_id]${STEPFLOW_STEP:+[parent=$STEPFLOW_STEP]}"
    # A stack of lines: id, the step around it, name.
    _stepflow_one_line "$1"
    _stepflow_open="$_stepflow_id|$STEPFLOW_STEP|$_stepflow_text
$_stepflow_open"
    STEPFLOW_STEP=$_stepflow_id
    export STEPFLOW_STEP
}

# step_end [STATUS]: the innermost step ends; with a STATUS other than 0 it has failed. Returns it.
step_end() {
    if [ "${1:-0}" -ne 0 ]; then
        step_fail "exit code $1"
        return "$1"
    fi
    _stepflow_pop || return 0
    _stepflow_say STEP_COMPLETE "$_stepflow_name [id=$_stepflow_id]"
}

# step_fail TEXT: the innermost step has failed, and this is why.
step_fail() {
    _stepflow_pop || return 0
    if _stepflow_in_subshell; then
        # Others may run beside it: which one is meant has to be said.
        _stepflow_say STEP_ERROR "$1 [id=$_stepflow_id]"
    else
        _stepflow_say STEP_ERROR "$1"
    fi
}

# step_skip NAME [REASON]: a step that is not run.
step_skip() {
    _stepflow_say STEP_SKIP "$1${STEPFLOW_STEP:+ [parent=$STEPFLOW_STEP]}${2:+:$2}"
}

# artifact PATH [DESCRIPTION]: keep a copy of this file.
artifact() { _stepflow_say ARTIFACT "$1${2:+:$2}"; }

# meta KEY VALUE: remember a fact.
meta() { _stepflow_say META "$1:$2"; }

# progress PERCENT [TEXT]: how far the innermost step is.
progress() { _stepflow_say PROGRESS "$1${2:+:$2}"; }

# Takes the innermost step off the stack; 1 if there is none.
_stepflow_pop() {
    [ -n "$_stepflow_open" ] || return 1
    _stepflow_line=${_stepflow_open%%"
"*}
    _stepflow_open=${_stepflow_open#*"
"}
    _stepflow_id=${_stepflow_line%%"|"*}
    _stepflow_line=${_stepflow_line#*"|"}
    STEPFLOW_STEP=${_stepflow_line%%"|"*}
    _stepflow_name=${_stepflow_line#*"|"}
}

# $$ is the script's in its subshells too; the parent of a child of ours is us.
_stepflow_in_subshell() {
    _stepflow_pid=$(exec sh -c 'echo "$PPID"')
    [ "$_stepflow_pid" != "$$" ]
}

# At the script's end every open step ends as it did.
_stepflow_at_exit() {
    _stepflow_status=${1:-$?}
    while [ -n "$_stepflow_open" ]; do
        step_end "$_stepflow_status" || :
    done
    return "$_stepflow_status"
}

# A trap of the script's own, set before or after, stays; StepFlow then ends open steps by itself.
case $(trap) in
*EXIT* | *"' 0"*) ;;
*) trap _stepflow_at_exit EXIT ;;
esac

# zsh leaves the trap out where `set -e` ends the script inside a function; this hook it runs then
# too, and never in a subshell, which the hook could not tell: its commands run a process deeper.
_stepflow_at_zsh_exit() {
    _stepflow_status=$?
    _stepflow_in_subshell() { return 1; }
    _stepflow_at_exit "$_stepflow_status"
}
if [ -n "${ZSH_VERSION-}" ]; then
    eval 'typeset -ga zshexit_functions; zshexit_functions+=(_stepflow_at_zsh_exit)'
fi

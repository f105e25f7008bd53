// Generated from crates/api by `cargo xtask codegen`; do not edit.
// docs/reference/api.md describes it. Times are RFC 3339 in UTC with microseconds; durations are
// seconds.

/** Where an execution stands. */
export type Status = 'pending' | 'running' | 'completed' | 'failed' | 'cancelled';

/** Where a step stands. */
export type StepStatus = 'pending' | 'running' | 'completed' | 'failed' | 'skipped' | 'cancelled';

/** Why an execution failed or was cancelled. */
export type Reason =
  | 'exit_code'
  | 'signal'
  | 'step_error'
  | 'timed_out'
  | 'start_failed'
  | 'not_started'
  | 'recorder_lost'
  | 'host_restarted'
  | 'output_limit'
  | 'disk_full'
  | 'disk_failed'
  | 'source_lost'
  | 'user'
  | 'client_gone';

/** Which of the script's streams bytes came from. */
export type Stream = 'stdout' | 'stderr';

/** By which way an execution came in. */
export type Source = 'cli' | 'server' | 'ingest' | 'pipe' | 'import';

/**
 * Where a client is: the next output byte, and the last journal event it has.
 *
 * Written `OFFSET.SEQ`: several events may share an offset.
 */
export type Cursor = string;

/** One execution. */
export type Execution = {
  /** UUIDv7: ids are in order of creation. */
  id: string;
  /** For people; the command if none was given. */
  name: string;
  /** Arguments joined by spaces, for people. */
  command: string;
  /** Where the script runs. */
  working_directory: string;
  /** Where it stands; the last three are ends. */
  status: Status;
  /** Of the script; null while it runs, after a signal, or when nobody can know it. */
  exit_code: number | null;
  /** Why it failed, in words. */
  error_message: string | null;
  /** When it was accepted. */
  created_at: string;
  /** When the script was started. */
  started_at: string | null;
  /** When it ended. */
  completed_at: string | null;
  /** Declared for it; never secrets. */
  environment: Record<string, string>;
  /** Who it was started for, as the request said. */
  user: string;
  /** Words to find it by. */
  tags: Array<string>;
  /** Somebody wants to find it again. */
  pinned: boolean;
  /** Steps so far. */
  total_steps: number;
  /** Of them completed. */
  completed_steps: number;
  /** -1 before any step, as in the original. */
  current_step_index: number;
  /** From start to end; until now while it runs. */
  duration_seconds: number | null;
  /** Completed steps of all so far, 0 to 100. */
  progress_percentage: number;
  /** From the request and from META markers. */
  metadata: Record<string, unknown>;
  /** Why it failed or was cancelled. */
  reason: Reason | null;
  /** The signal that ended the script. */
  signal: number | null;
  /** Somebody asked for its end. */
  cancelling: boolean;
  /** It waits for space on a full disk. */
  paused: boolean;
  /** Steps that failed. */
  failed_steps: number;
  /** Steps that were skipped. */
  skipped_steps: number;
  /** What the script says about the whole, 0 to 100. */
  progress: number | null;
  /** The words that came with it. */
  progress_text: string | null;
  /** Of the step that is open. */
  current_step_name: string | null;
  /** Ended lines of output. */
  lines: number;
  /** Bytes of output. */
  bytes: number;
  /** How many annotations there are. */
  warnings: number;
  /** How many artifacts there are. */
  artifacts_count: number;
  /** Who asked for it. */
  source: Source;
  /** It has a terminal. */
  pty: boolean;
  /** The execution that this one repeats. */
  rerun_of: string | null;
  /** How its processes are kept together: `cgroup` or `keeper`. */
  containment: string;
  /**
   * It runs, and its recorder does not answer: stopped, or its disk hangs. Older servers do not
   * say it.
   */
  unresponsive: boolean;
  /** Where it runs. */
  host: string;
};

/** One step. `logs` is always empty here: the detail answer streams it from the record. */
export type Step = {
  /** `<execution>-s<index>`. */
  id: string;
  /** Its execution. */
  execution_id: string;
  /** As its marker says. */
  name: string;
  /** Always empty, as in the original. */
  description: string;
  /** Its number, from 0. */
  index: number;
  /** Where it stands. */
  status: StepStatus;
  /** 0 when completed, 1 after STEP_ERROR, or the script's. */
  exit_code: number | null;
  /** What STEP_ERROR said. */
  error_message: string | null;
  /** When its marker came. */
  created_at: string;
  /** The same. */
  started_at: string | null;
  /** When it ended. */
  completed_at: string | null;
  /** Seconds, as its marker says. */
  estimated_duration: number | null;
  /** What the script says, 0 to 100. */
  progress: number | null;
  /** The words that came with it. */
  progress_text: string | null;
  /** Until now while it is open. */
  duration_seconds: number | null;
  /** Parameters of its marker, and META within it. */
  metadata: Record<string, unknown>;
  /** It has ended. */
  is_finished: boolean;
  /** Its failure stops the script. */
  stop_on_error: boolean;
  /** Index of the step it stands in. */
  parent: number | null;
  /** Its `[id=…]`. */
  key: string | null;
  /** How many steps it stands in. */
  depth: number;
  /** The line of its marker. */
  first_line: number;
  /** Its last line; null while it is open. */
  last_line: number | null;
  /** Output byte at which it begins. */
  start_offset: number;
  /** Output byte behind it; null while it is open. */
  end_offset: number | null;
  /** The system whose markers tell it; absent for StepFlow's own. */
  dialect?: string;
  /** A short word of that system about its end, such as `cached`. */
  detail?: string;
  /** Its lines: `timestamp`, `content`, `level`. Empty with `logs=0`. */
  logs: Array<unknown>;
};

/** One declared file. */
export type Artifact = {
  /** `<execution>-a<number>`. */
  id: string;
  /** Its execution. */
  execution_id: string;
  /** The step that was open. */
  step_id: string | null;
  /** Last part of its path. */
  name: string;
  /** As the marker says. */
  description: string;
  /** As the script wrote it. */
  file_path: string;
  /** The same as `name`; empty if there is no copy. */
  file_name: string;
  /** Bytes of the copy. */
  file_size: number;
  /** For people: `4.0 KB`. */
  file_size_human: string;
  /** By extension; empty if there is no copy. */
  mime_type: string;
  /** Always `other`, as in the original. */
  artifact_type: string;
  /** With its dot, in lower case. */
  file_extension: string;
  /** When it was declared. */
  created_at: string;
  /** Always empty. */
  tags: Array<string>;
  /** Always empty. */
  metadata: Record<string, unknown>;
  /** Always true, as in the original. */
  is_public: boolean;
  /** Days it is kept; null: no limit. */
  retention_days: number | null;
  /** There is a copy. */
  exists: boolean;
  /** Where its bytes are. */
  download_url: string;
  /** Its days are over. */
  is_expired: boolean;
  /** Of the copy, hex. */
  sha256: string | null;
  /** Why there is no copy. */
  problem: string | null;
  /** The file changed while it was copied. */
  changed: boolean;
};

/** A problem that a script points out. */
export type Pointed = {
  /** The system whose marker it is. */
  dialect: string;
  /** `error`, `warning` or `notice`. */
  level: string;
  /** The source file, as printed. */
  file: string | null;
  /** Its line, from 1. */
  line: number | null;
  /** Its column. */
  col: number | null;
  /** The last line. */
  end_line: number | null;
  /** The last column. */
  end_col: number | null;
  /** A heading. */
  title: string | null;
  /** The tool's own code for it. */
  code: string | null;
  /** More text, such as a stack trace. */
  details: string | null;
};

/** Something people should know. */
export type Annotation = {
  /** A stable word. */
  code: string;
  /** In words. */
  message: string;
  /** The line of output it is about; 0: none in particular. */
  line: number;
  /** Index of the step it is about. */
  step: number | null;
  /** When it was noted. */
  time: string;
  /** The script itself points it out, with this; absent for what StepFlow noted. */
  pointed?: Pointed;
};

/** A system whose markers were found in the output. */
export type DetectedDialect = {
  /** Its name. */
  dialect: string;
  /** The line that gave it away. */
  line: number;
};

/** A text for people about the whole execution: itself, or where it is. */
export type SummaryText = {
  /** The system whose marker it is. */
  dialect: string;
  /** Index of the step it belongs to. */
  step: number | null;
  /** The text, in Markdown. */
  markdown: string | null;
  /** The file that holds it, as written. */
  path: string | null;
  /** A heading. */
  name: string | null;
};

/** How many tests ended how. */
export type TestCounts = {
  /** With success. */
  passed: number;
  /** What they test is wrong. */
  failed: number;
  /** They could not test, or never finished. */
  error: number;
  /** Not run, or expected to fail. */
  skipped: number;
  /** Known not to work yet. */
  todo: number;
};

/** What output says in the markers of other systems, beside steps, artifacts and annotations. */
export type Told = {
  /** The systems, in the order in which they were found. */
  dialects: Array<DetectedDialect>;
  /** Texts about the whole. */
  summaries: Array<SummaryText>;
  /** Tests by the system that tells of them; not to be added up, two may tell of the same run. */
  tests: Record<string, TestCounts>;
  /** Secrets that the output declared, and that are masked from there on. */
  masks: number;
};

/** Since when a test fails. */
export type TestSince = {
  /** The execution in which it failed first, as far as is remembered. */
  execution_id: string;
  /** When that was accepted. */
  created_at: string;
};

/** One test, after its last try. */
export type TestResult = {
  /** Its place among the tests of its execution, from 0 in the order in which they were told of. */
  index: number;
  /** The system that tells of it; `junit`: a file of results. */
  dialect: string;
  /** What it is part of. */
  suite: string | null;
  /** Its name. */
  name: string;
  /** `passed`, `failed`, `error`, `skipped`, `todo`, `xfailed`, `xpassed` or `unknown`. */
  status: string;
  /** How long its last try took, milliseconds. */
  duration_ms: number | null;
  /** How often it was tried. */
  attempts: number;
  /** Why it failed or was skipped, the first 240 bytes of it. */
  message: string | null;
  /** Index of the step it belongs to. */
  step: number | null;
  /** Its source file, as printed. */
  file: string | null;
  /** Its line there, from 1. */
  file_line: number | null;
  /** The line of the log that tells of it. */
  line: number | null;
  /**
   * It failed and then passed, or changed its verdict twice or more in the last 20 executions of
   * this name.
   */
  flaky: boolean;
  /** No earlier execution of this name that is remembered had it, though there are some. */
  new: boolean;
  /**
   * Against the last execution of this name that had it: `newly_failing`, `still_failing` or
   * `fixed`.
   */
  change: string | null;
  /** Of one that fails still: since when. */
  failing_since: TestSince | null;
};

/** How many tests are what, of those that are listed before any filter. */
export type TestMarks = {
  /** Failed now, passed in the last execution that had them. */
  newly_failing: number;
  /** Failed there as well. */
  still_failing: number;
  /** Passed now, failed there. */
  fixed: number;
  /** Failed and then passed, or change their verdict. */
  flaky: number;
  /** Had by no earlier execution. */
  new: number;
};

/** `GET /api/executions/{id}/tests`. */
export type TestList = {
  /** The execution. */
  execution_id: string;
  /**
   * Whose tests are listed: the first there is of `junit`, `teamcity`, `tap`, then a tool, unless
   * asked otherwise; absent: everybody's.
   */
  dialect: string | null;
  /** How they ended: of a system that prints totals, these. Not filtered. */
  counts: TestCounts;
  /** The same by system; not to be added up, two may tell of the same run. */
  dialects: Record<string, TestCounts>;
  /** What the past says of them. Not filtered. */
  marks: TestMarks;
  /** How many earlier executions of this name are remembered, at most 50. */
  compared: number;
  /** How long all that say so took, added up, milliseconds. */
  total_ms: number;
  /** How many the filters let through. */
  matched: number;
  /** How many of those were left out first. */
  offset: number;
  /** One page of them. */
  tests: Array<TestResult>;
  /** There are more behind it. */
  has_more: boolean;
  /** It has ended: there will be no more. */
  ended: boolean;
  /** 200. */
  status: number;
};

/** One try of a test. */
export type TestTry = {
  /** Which one, from 1. */
  attempt: number;
  /** How it ended; the words of `TestResult::status`. */
  status: string;
  /** How long it took, milliseconds. */
  duration_ms: number | null;
  /** Why it failed or was skipped. */
  message: string | null;
  /** More about that, such as a stack trace. */
  details: string | null;
  /** The line of the log that tells of it. */
  line: number | null;
};

/** How a test ended in one execution. */
export type TestPast = {
  /** The execution. */
  execution_id: string;
  /** When it was accepted. */
  created_at: string;
  /** `passed`, `failed` or `skipped`. */
  verdict: string;
  /** It failed, and passed when it was tried again. */
  flaky: boolean;
  /** How long it took, milliseconds. */
  duration_ms: number | null;
};

/** `GET /api/executions/{id}/tests/{index}`. */
export type TestDetail = {
  /** The test. */
  test: TestResult;
  /** Every try that was told of, in order. */
  tries: Array<TestTry>;
  /** The last executions of this name that had it, up to this one, newest first; at most 50. */
  history: Array<TestPast>;
  /** 200. */
  status: number;
};

/** `GET /api/tests`: one test over the executions of one name. */
export type TestHistory = {
  /** The name of the executions. */
  name: string;
  /** What the test is part of. */
  suite: string | null;
  /** The test's name. */
  test: string;
  /** The executions that had it, newest first. */
  history: Array<TestPast>;
  /** How many these are. */
  count: number;
  /** 200. */
  status: number;
};

/** How grave a line is. */
export type LogLevel = 'error' | 'warning' | 'notice' | 'debug' | 'other';

/** Who says so. */
export type LevelSource = 'marker' | 'detected';

/** How a page shows one line. */
export type LineView = {
  /**
   * Parameters of the SGR sequence that leads from nothing to the style it begins in: `1;31`;
   * empty for none. null: the server has not scanned so far yet; ask again.
   */
  style: string | null;
  /**
   * What is shown, where the line's own bytes, styles aside, are something else: text with SGR
   * sequences, and OSC 8 around links, and no other control character. null: show `text`.
   */
  shown: string | null;
  /** Columns, as wrapping counts them: it takes `max(1, ceil(width / columns))` rows. */
  width: number;
  /** Times that text was put over earlier text of the line. */
  replaced: number;
  /** Bytes at the end of the line that are not shown. */
  hidden: number;
  /** How grave it is. */
  level: LogLevel;
  /** Who says so. */
  source: LevelSource;
  /** It stands around a line that the filter lets through. */
  context: boolean;
};

/** Output that is gone by policy. Offsets and line numbers are what they were. */
export type Dropped = {
  /** Output offset of the first byte that is gone. */
  from: number;
  /** Output offset just after the last one. */
  to: number;
  /** Line ends that are gone. */
  lines: number;
};

/** A line, or a piece of one. */
export type Line = {
  /** Its number, from 1. */
  n: number;
  /** When its first byte was read. */
  t: string;
  /** Where it came from. */
  stream: Stream;
  /** Output offset of its first byte. */
  offset: number;
  /**
   * Its bytes in the record, line end and cut rest included: the next line begins at
   * `offset + bytes`.
   */
  bytes: number;
  /** Its text, without line end. */
  text: string;
  /** No line end follows (yet). */
  partial: boolean;
  /** Goes on a piece of the same stream that the other stream cut. */
  continued: boolean;
  /** Invalid UTF-8 was replaced. */
  lossy: boolean;
  /** Bytes of the line that are not in `text`. */
  rest: number;
  /** The step that owns it. */
  step: number | null;
  /** No line, but what stands in the place of output that is gone by policy; `text` says so. */
  dropped?: Dropped;
  /** How a page shows it; with `view=1` alone. `text` is then at most 16 KiB. */
  view?: LineView;
};

/** What a filter lets through. */
export type FilteredLines = {
  /** Lines in the whole log, context included. */
  total: number;
  /** Lines that are not context. */
  matches: number;
  /** All lines have been scanned. */
  complete: boolean;
};

/** `GET /api/executions/{id}/log`. */
export type LogRange = {
  /** Number of the first line that was asked for. */
  from_line: number;
  /** The lines that are there. */
  lines: Array<Line>;
  /** Ended lines in the record. */
  total_lines: number;
  /** Bytes in the record. */
  total_bytes: number;
  /** Where to go on. */
  cursor: Cursor;
  /** Nothing will be added. */
  ended: boolean;
  /** With a filter: what it lets through in the whole log. */
  filtered?: FilteredLines;
};

/** Lines of each level. */
export type LevelCounts = {
  /** Lines that say that something failed. */
  error: number;
  /** Lines that warn. */
  warning: number;
  /** Lines that point something out. */
  notice: number;
  /** Lines for whoever looks for a fault. */
  debug: number;
  /** All other lines. */
  other: number;
};

/** A line that says that something is wrong. */
export type ErrorLine = {
  /** Its number. */
  line: number;
  /** Who says so. */
  source: LevelSource;
};

/** What one step printed itself; what its children printed is theirs. */
export type StepLines = {
  /** Its number; null: what no step owns. */
  step: number | null;
  /** Lines. */
  lines: number;
  /** Of each level. */
  counts: LevelCounts;
  /** The first error. */
  first_error: ErrorLine | null;
};

/** Lines that one step owns, one behind the other. */
export type StepRange = {
  /** The step; null: none. */
  step: number | null;
  /** The first line. */
  first_line: number;
  /** The last line; null: up to the end of the log, which may grow. */
  last_line: number | null;
};

/** Output that is missing. */
export type LogGap = {
  /** It was printed before this line. */
  line: number;
  /** How much; null: nobody knows. */
  bytes: number | null;
  /**
   * A stable word: `recovered` after a crash, `log_max_bytes` by policy, `output_lost` where the
   * disk did not take it.
   */
  reason: string;
  /** A sentence. */
  message: string;
};

/** `GET /api/executions/{id}/log/meta`. */
export type LogMeta = {
  /** Ended lines in the record, and one more for a half line at the end. */
  lines: number;
  /** Bytes in the record. */
  bytes: number;
  /** Bytes that it takes up on the disk, the index included; older servers do not say it. */
  stored_bytes: number;
  /** It is in its compressed form. */
  compressed: boolean;
  /** Lines that have been scanned: what follows is about them. */
  scanned_lines: number;
  /** All lines have been scanned. */
  complete: boolean;
  /** Lines of each level. */
  counts: LevelCounts;
  /** Lines from standard error. */
  stderr_lines: number;
  /** The first error. */
  first_error: ErrorLine | null;
  /** For each step that owns lines. */
  steps: Array<StepLines>;
  /** Which step owns which lines, in order. */
  ranges: Array<StepRange>;
  /** Output that is missing. */
  gaps: Array<LogGap>;
  /** Bytes that survive a power cut; null: not known while it runs. */
  safe_bytes: number | null;
  /** Nothing will be added. */
  ended: boolean;
  /** The server's time zone when the execution was made, in minutes east of UTC. */
  utc_offset_min: number;
};

/** `GET /api/executions/{id}/log/rows`. */
export type LogRows = {
  /** Columns of the page. */
  columns: number;
  /** Lines of each entry of `pages`. */
  page_lines: number;
  /** Number of the page that `pages` begins with, from 0. */
  from_page: number;
  /** Rows of so many lines each. */
  pages: Array<number>;
  /** Rows of all scanned lines. */
  total_rows: number;
  /** Lines that have been scanned. */
  scanned_lines: number;
  /** All lines have been scanned. */
  complete: boolean;
  /** Nothing will be added. */
  ended: boolean;
};

/** `GET /api/executions/{id}/log/density`. */
export type LogDensity = {
  /** For each part of equal size, from the beginning on. */
  buckets: Array<LevelCounts>;
  /** Lines that have been scanned: the parts are parts of them. */
  scanned_lines: number;
  /** All lines have been scanned. */
  complete: boolean;
  /** Nothing will be added. */
  ended: boolean;
};

/** A line of `LogErrors`. */
export type LogError = {
  /** Its number. */
  line: number;
  /** The step that owns it. */
  step: number | null;
  /** How grave it is. */
  level: LogLevel;
  /** Who says so. */
  source: LevelSource;
  /** What it says, without styles, cut. */
  text: string;
};

/** `GET /api/executions/{id}/log/errors`. */
export type LogErrors = {
  /** In order. */
  errors: Array<LogError>;
  /** How many there are in all scanned lines. */
  total: number;
  /** Where to go on: `from`, or `before`, of the next request; null: that was all. */
  next: number | null;
  /** All lines have been scanned. */
  complete: boolean;
  /** Nothing will be added. */
  ended: boolean;
};

/** A line with matches. */
export type SearchHit = {
  /** Its number. */
  line: number;
  /** The step that owns it. */
  step: number | null;
  /** Matches in it. */
  matches: number;
  /**
   * Where they begin and end in the text that a page shows, styles aside, in UTF-16 units. Those
   * in a part that is not shown are missing.
   */
  spans: Array<[number, number]>;
};

/** Matches in one step. */
export type StepHits = {
  /** The step; null: none. */
  step: number | null;
  /** Lines with matches. */
  lines: number;
};

/**
 * `GET /api/executions/{id}/log/search`. One answer is about the lines from `from_line` up to, not
 * including, `next_line`; asked again with its `cursor`, the next answer goes on there. Sums over
 * the answers are exact when `complete` is true.
 */
export type LogSearch = {
  /** The first ones, at most `limit`; backwards: the last ones, the last one first. */
  hits: Array<SearchHit>;
  /** Lines with matches. */
  lines: number;
  /** Matches. */
  matches: number;
  /** Lines with matches in each step that has some. */
  steps: Array<StepHits>;
  /** Lines with matches in parts of equal size of the lines 1 to `total_lines`, if asked for. */
  density: Array<number>;
  /** The first line that was searched. */
  from_line: number;
  /** The line behind the last one that was searched; backwards, the last one that was. */
  next_line: number;
  /** Lines in the record. */
  total_lines: number;
  /** Where to go on: `cursor` of the next request. */
  cursor: string;
  /** All that is recorded has been searched. */
  complete: boolean;
  /** Nothing will be added. */
  ended: boolean;
};

/** A line beside one with a match. */
export type ContextLine = {
  /** Its number. */
  line: number;
  /** How a page shows it begins. */
  text: string;
  /** Something stands behind `text`. */
  cut: boolean;
};

/** A line with a match. */
export type FoundLine = {
  /** Its number. */
  line: number;
  /** Output offset of its first byte. */
  offset: number;
  /** Number of the step that it belongs to, within the execution. */
  step: number | null;
  /** That step's name. */
  step_name: string | null;
  /** Matches in it. */
  matches: number;
  /** What a page shows of it, or of a long one what stands around the first match. */
  text: string;
  /** Where in `text` matches stand: UTF-16 units, from and to. */
  spans: Array<[number, number]>;
  /** Something stands before `text`. */
  cut_before: boolean;
  /** Something stands behind `text`. */
  cut_after: boolean;
  /** Lines before it, as many as were asked for. */
  before?: Array<ContextLine>;
  /** Lines behind it. */
  after?: Array<ContextLine>;
};

/** Hits in the log of one execution. */
export type SearchFound = {
  /** The execution. */
  execution: Execution;
  /** The hits, by line. */
  lines: Array<FoundLine>;
  /** There may be more than `each` asked for, which are left out. */
  more: boolean;
};

/** How far a search over many logs is. */
export type SearchProgress = {
  /** Executions that the conditions choose; more than 10,000 may count as that. */
  total: number;
  /** Executions that this answer is done with. */
  done: number;
  /** Output bytes that were searched. */
  scanned_bytes: number;
  /** Output bytes of which filters say that they hold no match. */
  skipped_bytes: number;
  /** Hits of this answer. */
  hits: number;
};

/** A line of `GET /api/search`: what came of a search over many logs. */
export type SearchEvent =
  | { 'kind': 'found' } & SearchFound
  | { 'kind': 'progress' } & SearchProgress
  | {
      kind: 'unreadable';
      /** The execution. */
      execution_id: string;
      /** Why. */
      why: string;
    }
  | {
      kind: 'end';
      /** How far it came. */
      progress: SearchProgress;
      /** Where to go on; null: everything has been searched. */
      cursor: string | null;
    };

/** How long a step usually takes. */
export type UsualStep = {
  /** Names from the outermost step to this one. */
  path: Array<string>;
  /** Which one of that path, from 0: loops have steps of equal names. */
  occurrence: number;
  /** The median, in seconds. */
  seconds: number;
  /** Of so many passes. */
  passes: number;
  /** The step of this execution that it is about; null: it has not begun here. */
  step: number | null;
};

/** `GET /api/executions/{id}/usual`. */
export type Usual = {
  /** How many earlier passes of the same name there are, at most 20. */
  passes: number;
  /** The median of their durations, in seconds; null without one. */
  seconds: number | null;
  /** For each step of them, in their order. */
  steps: Array<UsualStep>;
};

/** A state that an execution came into. */
export type Moment = {
  /** A status, `cancelling` or `paused`; `running` again after a pause. */
  state: string;
  /** When. */
  time: string;
  /** Who wanted it or why it came, where that is known. */
  note: string | null;
};

/** A terminal's size in characters, at first. */
export type Terminal = {
  /** Columns. */
  cols: number;
  /** Rows. */
  rows: number;
};

/** `GET /api/executions/{id}/spec`: how it was asked for, and what lists do not show of its way. */
export type ExecutionSpec = {
  /** The execution. */
  id: string;
  /**
   * The argument vector, as it reached the program; empty for output that StepFlow did not
   * start.
   */
  args: Array<string>;
  /** The command was given as text for a shell. */
  shell: boolean;
  /** A failed step stops it. */
  stop_on_error: boolean;
  /** Standard error is kept apart. */
  split_stderr: boolean;
  /** It ends with the client that started it. */
  bound: boolean;
  /** When its output is made durable: `interval`, `always` or `never`. */
  log_sync: string;
  /** How its processes were to be held together: `auto`, `cgroup` or `keeper`. */
  containment: string;
  /** What becomes of those who hold its output after its end: `kill` or `leave`. */
  on_leftover: string;
  /** Bytes of output that are kept, about; 0: all. */
  log_max_bytes: number;
  /** What is done when there would be more: `keep-ends`, `block` or `stop`. */
  log_full: string;
  /** What becomes of it when the disk does not take its output: `block` or `kill`. */
  on_disk_full: string;
  /** Whose markers its output may hold: `auto`, `none`, names. Older servers do not say it. */
  dialect: string;
  /** Which files hold results of tests, as patterns. Older servers do not say it. */
  junit: Array<string>;
  /** For how long the output of what is left over is still recorded. */
  drain_seconds: number;
  /** Its time limit. */
  timeout_seconds: number | null;
  /** Between SIGTERM and SIGKILL. */
  grace_seconds: number;
  /** Names of variables whose values are in no record. */
  mask_env: Array<string>;
  /** Its terminal, if it has one. */
  terminal: Terminal | null;
  /** The same can be run again. */
  can_rerun: boolean;
  /** The runs that this one repeats, the first of them first; at most 20. */
  repeats: Array<string>;
  /** Every state that it came into, in order. */
  moments: Array<Moment>;
  /** Processes that still ran when the script's first process had ended. */
  leftover: Array<string>;
};

/** A part of a text in Markdown. Text is text: nothing in it is markup any more. */
export type MarkdownNode =
  | { kind: 'text'; text: string }
  | { kind: 'code'; text: string }
  | { kind: 'code_block'; language: string; text: string }
  | { kind: 'line_break' }
  | { kind: 'rule' }
  | { kind: 'paragraph'; children: Array<MarkdownNode> }
  | { kind: 'heading'; level: number; children: Array<MarkdownNode> }
  | { kind: 'quote'; children: Array<MarkdownNode> }
  | { kind: 'list'; start: number | null; children: Array<MarkdownNode> }
  | { kind: 'item'; checked: boolean | null; children: Array<MarkdownNode> }
  | { kind: 'emphasis'; children: Array<MarkdownNode> }
  | { kind: 'strong'; children: Array<MarkdownNode> }
  | { kind: 'strike'; children: Array<MarkdownNode> }
  | { kind: 'link'; href: string; children: Array<MarkdownNode> }
  | { kind: 'artifact_link'; artifact: string; children: Array<MarkdownNode> }
  | { kind: 'image'; artifact: string; alt: string }
  | { kind: 'table'; align: Array<string>; rows: Array<Array<Array<MarkdownNode>>> };

/** A name in an archive. */
export type ArchiveEntry = {
  /** As the archive has it; controls are shown as symbols. */
  name: string;
  /** Bytes when unpacked. */
  size: number;
};

/** What a preview shows. */
export type PreviewContent =
  | {
      kind: 'text';
      /** The text. */
      text: string;
    }
  | {
      kind: 'markdown';
      /** In order. */
      nodes: Array<MarkdownNode>;
    }
  | {
      kind: 'csv';
      /** What stands between fields: `,`, `;`, a tab or `|`. */
      delimiter: string;
      /** Rows from `from_row` on. */
      rows: Array<Array<string>>;
      /** The number of the first one, from 0. */
      from_row: number;
    }
  | {
      kind: 'json';
      /** The value. */
      value: unknown;
    }
  | {
      kind: 'json_lines';
      /** The values, in order. */
      values: Array<unknown>;
    }
  | {
      kind: 'image';
      /** Its type. */
      mime: string;
      /** Pixels; null: not known. */
      width: number | null;
      /** Pixels; null: not known. */
      height: number | null;
    }
  | {
      kind: 'media';
      /** Its type. */
      mime: string;
    }
  | { kind: 'html' }
  | {
      kind: 'archive';
      /** `zip`, `tar` or `tar.gz`. */
      format: string;
      /** The first ones. */
      entries: Array<ArchiveEntry>;
    }
  | {
      kind: 'hex';
      /** The digits. */
      hex: string;
    };

/** `GET /api/artifacts/{aid}/preview`: what can be shown of it without harm. */
export type ArtifactPreview = {
  /** The artifact. */
  id: string;
  /** Its size in bytes. */
  size: number;
  /** There is more than what stands here. */
  truncated: boolean;
  /** What stands here. */
  content: PreviewContent;
};

/** `GET /api/executions/statistics`. */
export type Statistics = {
  /** All of them. */
  total_executions: number;
  /** Pending or running. */
  active_now: number;
  /** Completed of all, for people: `73.7%`. */
  success_rate: string;
  /** Mean over completed ones, for people: `0.2s`, or `-`. */
  avg_duration: string;
  /** Completed of all; 0 when there is none. */
  success_ratio: number;
  /** Mean over completed ones; null when there is none. */
  avg_duration_seconds: number | null;
  /** How many have each status. */
  by_status: Partial<Record<Status, number>>;
  /** How many wait to be started. */
  queued: number;
};

/** A part of an `Overview`'s range. */
export type OverviewPart = {
  /** Where it begins; it ends where the next one begins. */
  since: string;
  /** How many were created in it. */
  runs: number;
  /** Completed of all that completed or failed, 0 to 1; null without any. */
  success_ratio: number | null;
  /** The median duration of those that completed, in seconds; null without any. */
  median_seconds: number | null;
  /** The duration that 95 of 100 completed ones do not exceed, in seconds; null without any. */
  p95_seconds: number | null;
  /** Bytes of output. */
  bytes: number;
};

/** `GET /api/executions/overview`: what was created in a time range up to now. */
export type Overview = {
  /** The range that was asked for: `24h`, `7d` or `30d`. */
  range: string;
  /** Where the range begins. */
  since: string;
  /** How many were created in it. */
  runs: number;
  /** Of them completed. */
  completed: number;
  /** Of them failed. */
  failed: number;
  /** Of them cancelled. */
  cancelled: number;
  /** Completed of all that completed or failed, 0 to 1; null without any. */
  success_ratio: number | null;
  /** The median duration of those that completed, in seconds; null without any. */
  median_seconds: number | null;
  /** The duration that 95 of 100 completed ones do not exceed, in seconds; null without any. */
  p95_seconds: number | null;
  /** Bytes of output. */
  bytes: number;
  /** How many run now, whenever they were created. */
  running: number;
  /** How many wait for their start now. */
  queued: number;
  /** The range in parts of equal length, oldest first. */
  parts: Array<OverviewPart>;
};

/** One execution of a `Strip`. */
export type StripEntry = {
  /** Which. */
  id: string;
  /** How it ended, or where it stands. */
  status: Status;
  /** How long it took; null while it runs. */
  duration_seconds: number | null;
};

/** How the executions of one name went lately. */
export type Strip = {
  /** Of the asked executions, those that have this name. */
  ids: string[];
  /** How many passes `usual_seconds` is taken from, at most 20. */
  passes: number;
  /** The median duration of its last passes, in seconds; null without one. */
  usual_seconds: number | null;
  /** Its last executions, at most 20, newest first. */
  last: Array<StripEntry>;
};

/** `GET /api/executions/strips`. */
export type StripList = {
  /** One for each name that the asked executions have. */
  strips: Array<Strip>;
};

/** `GET /api/executions`. */
export type ExecutionList = {
  /** Newest first. */
  executions: Array<Execution>;
  /** As it was applied. */
  limit: number;
  /** As it was applied. */
  offset: number;
  /** Executions in this answer. */
  count: number;
  /** Executions that fulfil the conditions; counted up to 10,000 where no counter knows. */
  total_count: number;
  /** There are more behind these. */
  has_more: boolean;
  /** For `before`, to get the next page; null on the last. */
  next_before: string | null;
  /** 200, as in the original. */
  status: number;
};

/** One of `ActiveList::active_executions`. */
export type ActiveExecution = {
  /** Its id. */
  id: string;
  /** `pending` or `running`. */
  status: Status;
  /** For people. */
  name: string;
  /** When the script was started. */
  start_time: string | null;
  /** Arguments joined by spaces. */
  command: string;
  /** When it was accepted. */
  created_at: string;
};

/** `GET /api/executions/active`: the original's six keys, and whole objects. */
export type ActiveList = {
  /** The original's six keys. */
  active_executions: Array<ActiveExecution>;
  /** Whole objects, newest first. */
  executions: Array<Execution>;
  /** How many. */
  count: number;
};

/** `GET /api/executions/{id}`. */
export type ExecutionDetail = {
  /** The execution itself. */
  execution: Execution;
  /** In order of their index, each with its log lines unless `logs=0`. */
  steps: Array<Step>;
  /** In order of declaration. */
  artifacts: Array<Artifact>;
  /** In order of time. */
  annotations: Array<Annotation>;
  /** What its output says in the markers of other systems; absent where it says nothing. */
  told?: Told;
  /** Lines outside all steps, streamed from the record; empty with `?logs=0`. */
  logs: Array<unknown>;
  /** Bytes that its log takes up on the disk, the index included; older servers do not say it. */
  stored_bytes: number;
  /** The log is in its compressed form. */
  compressed: boolean;
  /** 200, as in the original. */
  status: number;
};

/** `GET /api/artifacts` and `GET /api/artifacts/execution/{id}`. */
export type ArtifactList = {
  /** Newest first; of one execution: in order of declaration. */
  artifacts: Array<Artifact>;
  /** How many are in this answer. */
  count: number;
  /** There are more behind these. */
  has_more: boolean;
  /** For `before`, to get the next page. */
  next_before: string | null;
};

/** What to run, as a request says it. */
export type Command = string | Array<string>;

/**
 * When output is made durable: at the latest a second after it was recorded, before anybody sees
 * it, or with the next step, artifact or end.
 */
export type LogSync = 'interval' | 'always' | 'never';

/** How the processes of a script are held together. */
export type Containment = 'auto' | 'cgroup' | 'keeper';

/**
 * What becomes of processes that hold the output after the script's first process has ended, and
 * after the drain time.
 */
export type Leftover = 'kill' | 'leave';

/** What is done about output that would outgrow its limit. */
export type LogFull = 'keep-ends' | 'block' | 'stop';

/** What becomes of a script whose output the disk does not take. */
export type OnDiskFull = 'block' | 'kill' | 'drop';

/** A system that a script can be told it runs in. */
export type Emulation = 'github' | 'gitlab' | 'azure' | 'teamcity' | 'buildkite' | 'travis';

/** `POST /api/executions`. */
export type CreateRequest = {
  /** What to run; required. */
  command: Command;
  /** For people; the command if absent. */
  name?: string;
  /** Where to run it; the server's if absent. */
  working_directory?: string;
  /** Added to the environment of the script. */
  environment?: Record<string, string>;
  /** Names in `environment` whose values are kept out of everything that is recorded. */
  mask_env?: Array<string>;
  /** Words to find it by. */
  tags?: Array<string>;
  /** Kept with it. */
  metadata?: Record<string, unknown>;
  /** Seconds after which it is stopped. */
  timeout?: number;
  /** Who it is for, as text. */
  user?: string;
  /** Stop the script at the first STEP_ERROR. */
  stop_on_error?: boolean;
  /** Keep standard error apart. */
  split_stderr?: boolean;
  /** Give a command of one text to `/bin/sh -c`. */
  shell?: boolean;
  /** Give it a terminal. */
  pty?: boolean;
  /** When its output is made durable; as the server does it if absent. */
  log_sync?: LogSync;
  /** How its processes are held together; as the server does it if absent. */
  containment?: Containment;
  /** What becomes of those who hold its output after its end; as the server does it if absent. */
  leftover?: Leftover;
  /** What becomes of it when the disk does not take its output; as the server does it if absent. */
  on_disk_full?: OnDiskFull;
  /** Seconds for which their output is still recorded; as the server does it if absent. */
  drain_timeout?: number;
  /**
   * Bytes of output that are kept, about: 0 for all, or at least 1 MiB; as the server does it if
   * absent.
   */
  log_max_bytes?: number;
  /** What is done when there would be more; as the server does it if absent. */
  log_full?: LogFull;
  /**
   * Whose markers its output may hold, a list with commas: `auto`, `none`, `native`, `github`, ….
   * As the server does it if absent.
   */
  dialect?: string;
  /** Systems whose variables the script finds, so that helpers print their markers. */
  emulate?: Array<Emulation>;
  /**
   * Which files below its directory hold results of tests in JUnit's form, as patterns; read when
   * it has ended. As the server does it if absent.
   */
  junit?: Array<string>;
  /** Answer when it has ended. */
  wait?: boolean;
};

/** `POST /api/executions/{id}/rerun`. The body may be left out. */
export type RerunRequest = {
  /** Added to what the original was declared with; secrets must be given again. */
  environment?: Record<string, string>;
  /** Answer when it has ended. */
  wait?: boolean;
};

/** `PATCH /api/executions/{id}`: what is absent stays as it is. */
export type LabelRequest = {
  /** Another name, of 1 to 4,096 bytes. */
  name?: string;
  /** All its tags, in place of those it has. */
  tags?: Array<string>;
  /** Whether it is pinned. */
  pinned?: boolean;
};

/** The answer to `CreateRequest` and `RerunRequest`. */
export type CreateAnswer = {
  /** The execution. */
  id: string;
  /** The same again, as documented by the original. */
  execution_id: string;
  /** Where it stands. */
  status: Status;
  /** In words. */
  message: string;
  /** As it was given, or the command. */
  name: string;
  /** When it was accepted. */
  created_at: string;
};

/** How far a stream is: the answer to whoever sends it, or asks. */
export type IngestAnswer = {
  /** The execution. */
  id: string;
  /** For people. */
  name: string;
  /** Where it stands. */
  status: Status;
  /** Why, for failed and cancelled. */
  reason: Reason | null;
  /** Bytes that need not be sent again. */
  offset: number;
  /** Bytes that a power cut cannot take. */
  safe: number;
  /** Recorded bytes. */
  bytes: number;
  /** Lines that ended in them. */
  lines: number;
  /** A source is sending. */
  attached: boolean;
  /** Where people see it. */
  url: string;
};

/** `POST /api/executions/{id}/cancel`. */
export type CancelAnswer = {
  /** Which execution. */
  id: string;
  /** Where it stands now. */
  status: Status;
  /** In words. */
  message: string;
};

/** `DELETE /api/executions/{id}` and `DELETE /api/artifacts/{id}`. */
export type DeleteAnswer = {
  /** What was deleted. */
  id: string;
  /** True. */
  deleted: boolean;
  /** In words. */
  message: string;
};

/** A query of the list that somebody saved for everybody. */
export type SavedSearch = {
  /** Its name; no two are the same. */
  name: string;
  /** As written in the page's query line. */
  query: string;
  /** When it was saved. */
  saved_at: string;
};

/** `GET /api/searches`. */
export type SavedSearchList = {
  /** By name. */
  searches: Array<SavedSearch>;
};

/** `PUT /api/searches/{name}`. */
export type SavedSearchRequest = {
  /** What to look for, as written in the page's query line. */
  query: string;
};

/** RFC 9457, with `error` for clients of the original. */
export type Problem = {
  /** `about:blank#` and a stable word. */
  type: string;
  /** The status in words. */
  title: string;
  /** The HTTP status. */
  status: number;
  /** What went wrong here. */
  detail: string;
  /** The same as `detail`. */
  error: string;
  /** What to do next. */
  hint?: string;
  /** Finds it in the server's log. */
  request_id: string;
};

/** `POST /api/login`. */
export type LoginRequest = {
  /** From the link that the server printed, or from `stepflow open`. */
  code: string;
};

/** `GET /api/session`. */
export type Session = {
  /** Always true: others get 401. */
  authenticated: boolean;
  /** `cookie`, `token`, `socket` or `off`. */
  kind: 'cookie' | 'token' | 'socket' | 'off';
};

/** `POST /api/login-code`. */
export type LoginUrl = {
  /** Good once, for 10 minutes. */
  url: string;
};

/** `POST /api/tokens`. */
export type TokenCreate = {
  /** What it is for, for people. */
  name: string;
  /** `operator` or `viewer`. */
  scope: 'operator' | 'viewer';
  /** Useless after this many seconds; never if absent. */
  expires_in_s?: number;
};

/** A token as lists show it: never the token itself. */
export type TokenInfo = {
  /** For revoking it. */
  id: string;
  /** What it is for. */
  name: string;
  /** What it may do. */
  scope: 'operator' | 'viewer';
  /** Its first characters, for finding it. */
  prefix: string;
  /** When it was made. */
  created_at: string;
  /** When it becomes useless; null: never. */
  expires_at: string | null;
  /** When it was used last, to a minute. */
  last_used_at: string | null;
  /** When it was revoked. */
  revoked_at: string | null;
};

/** `GET /api/tokens`. */
export type TokenList = {
  /** Oldest first. */
  tokens: Array<TokenInfo>;
  /** How many. */
  count: number;
};

/** The answer to `TokenCreate`. */
export type TokenCreated = {
  /** Shown this once. */
  token: string;
  /** For revoking it. */
  id: string;
  /** What it is for. */
  name: string;
  /** What it may do. */
  scope: 'operator' | 'viewer';
  /** Its first characters, for finding it. */
  prefix: string;
  /** When it was made. */
  created_at: string;
  /** When it becomes useless; null: never. */
  expires_at: string | null;
  /** When it was used last, to a minute. */
  last_used_at: string | null;
  /** When it was revoked. */
  revoked_at: string | null;
};

/** `GET /api/health`: open, and therefore silent about everything but itself. */
export type Health = {
  /** `healthy` or `unhealthy`. */
  status: 'healthy' | 'unhealthy';
  /** `StepFlow Monitor`. */
  service: string;
  /** Now. */
  timestamp: string;
  /** Of the program. */
  version: string;
  /** Since the server was started. */
  uptime_seconds: number;
  /** Whether the catalog answers: `ok` or `failed`. */
  database: string;
  /** Whether live updates are served: `ok`, always where this is answered. */
  websocket: string;
  /** Whether the storage directory is there: `ok` or `failed`. */
  storage: string;
};

/** How one part of the server is. */
export type Component = {
  /** `ok`, `degraded` (works, and somebody should look) or `unhealthy`. */
  status: 'ok' | 'degraded' | 'unhealthy';
  /** In words. */
  detail: string;
  /** The same as a stable word, for whoever has words of their own. */
  what: string;
  /** The figures that the words have: counts, bytes, and ratios from 0 to 1. */
  figures: { [key in string]: number };
};

/** The parts of a server. */
export type Components = {
  /** The catalog. */
  database: Component;
  /** Starting and following executions. */
  engine: Component;
  /** The file system that holds the records. */
  storage: Component;
  /** Live viewers. */
  websocket: Component;
};

/** `GET /api/health/status`. */
export type HealthStatus = {
  /** The worst of the components: `healthy`, `degraded` or `unhealthy`. */
  status: 'healthy' | 'degraded' | 'unhealthy';
  /** `StepFlow Monitor`. */
  service: string;
  /** Of the program. */
  version: string;
  /** Now. */
  timestamp: string;
  /** Since the server was started. */
  uptime_seconds: number;
  /** Part by part. */
  components: Components;
};

/** How long a kind of operation took, since the server was started. */
export type Latency = {
  /** How many there were. */
  count: number;
  /** The mean; null: there were none. */
  mean_seconds: number | null;
  /** Half of them took at most this long; as exact as the buckets of `/metrics`. */
  p50_seconds: number | null;
  /** 95 of 100 took at most this long. */
  p95_seconds: number | null;
  /** 99 of 100 took at most this long. */
  p99_seconds: number | null;
  /** How many took longer than 5 ms. */
  over_5ms: number;
};

/** What the server's process uses. */
export type ProcessMetrics = {
  /** Its id. */
  pid: number;
  /** Resident memory, mapped files included. */
  resident_bytes: number;
  /** Resident memory of its own. */
  anonymous_bytes: number;
  /** Open file descriptors. */
  open_fds: number;
  /** How many it may open. */
  max_fds: number;
  /** Threads. */
  threads: number;
  /** Time on processors. */
  cpu_seconds: number;
  /** When it was started. */
  started_at: string;
};

/** What is run. */
export type ExecutionMetrics = {
  /** All that the catalog holds, by status. */
  by_status: { [key in string]: number };
  /** Those that have not ended, by status. */
  live: { [key in string]: number };
  /** Those that ended since the server was started, by status. */
  ended: { [key in string]: number };
  /** Those that wait for a place. */
  waiting: number;
  /** Places that are taken. */
  running: number;
  /** Places there are. */
  running_max: number;
  /** Output that is recorded and not yet synced. */
  unsynced_bytes: number;
  /** Recorders that are connected. */
  recorders: number;
  /** Executions whose recorder was gone without an end, since the server was started. */
  recorders_lost: number;
};

/** How the API is used, since the server was started. */
export type HttpMetrics = {
  /** Answers. */
  requests: number;
  /** Answers with a status of 500 or above. */
  server_errors: number;
  /** Requests that are being answered. */
  in_progress: number;
  /** From a request's head to the answer's. */
  latency: Latency;
  /** Connections over TCP and over the Unix socket. */
  connections: number;
  /** How many there may be. */
  connections_max: number;
};

/** Who watches. */
export type ViewerMetrics = {
  /** Clients of `/ws`. */
  websocket: number;
  /** Clients of event streams. */
  sse: number;
  /** Subscriptions of the clients of `/ws`. */
  subscriptions: number;
  /** Clients that were cut off: they took nothing for 30 s, or their login ended. */
  dropped: number;
};

/** The catalog's files. */
export type DatabaseFile = {
  /** Size of the database. */
  database_bytes: number;
  /** Size of a page. */
  page_bytes: number;
  /** Pages, free ones included. */
  pages: number;
  /** Pages that hold nothing. */
  free_pages: number;
  /** Share of the pages that hold nothing, 0 to 1. */
  free_ratio: number;
  /** Size of the write-ahead log. */
  wal_bytes: number;
};

/** What the catalog did since the server was started. */
export type DatabaseMetrics = {
  /** Its files. */
  file: DatabaseFile;
  /** Batches that wait for the writer. */
  queued: number;
  /** How many may wait. */
  queue_max: number;
  /** Rows and what belongs to them, written. */
  changes: number;
  /** Transactions. */
  commit: Latency;
  /** Batches, from the moment they were handed over to the commit that holds them. */
  write: Latency;
  /** Questions. */
  read: Latency;
  /** Transactions that failed. */
  commits_failed: number;
  /** Questions that failed. */
  reads_failed: number;
  /** Times that another process held the lock for too long. */
  busy: number;
  /** Share of operations that needed nothing from the disk, 0 to 1; null: there were none. */
  cache_hit_ratio: number | null;
  /** Connections that read. */
  readers: number;
  /** Of them in use. */
  readers_busy: number;
  /** Times the write-ahead log was moved into the database. */
  checkpoints: number;
  /** Times a reader kept it from moving whole. */
  checkpoints_blocked: number;
  /** Runs of the maintenance. */
  maintenances: number;
};

/** `GET /api/health/metrics`: the figures of `/metrics`, as JSON. */
export type HealthMetrics = {
  /** Now. */
  timestamp: string;
  /** Since the server was started. */
  uptime_seconds: number;
  /** The server's process. */
  process: ProcessMetrics;
  /** What is run. */
  executions: ExecutionMetrics;
  /** How the API is used. */
  http: HttpMetrics;
  /** Who watches. */
  viewers: ViewerMetrics;
  /** The catalog, without its findings. */
  database: DatabaseMetrics;
};

/** A figure beyond its threshold. */
export type Finding = {
  /** `warning` or `error`. */
  level: 'warning' | 'error';
  /** A stable word. */
  what: string;
  /** What was measured. */
  measured: number;
  /** What it should not exceed, or, for `cache-hit-ratio`, not fall below. */
  threshold: number;
  /** Of both: `seconds`, `bytes`, `ratio` or `count`. */
  unit: 'seconds' | 'bytes' | 'ratio' | 'count';
  /** In words. */
  detail: string;
  /** What to do. */
  remedy: string;
};

/** `GET /api/health/database`. */
export type HealthDatabase = {
  /** `ok`; `degraded`: there are warnings; `unhealthy`: there are errors. */
  status: 'ok' | 'degraded' | 'unhealthy';
  /** Now. */
  timestamp: string;
  /** Always `wal`. */
  journal_mode: string;
  /** What is beyond its threshold, worst first. */
  findings: Array<Finding>;
  /** Its files. */
  file: DatabaseFile;
  /** Batches that wait for the writer. */
  queued: number;
  /** How many may wait. */
  queue_max: number;
  /** Rows and what belongs to them, written. */
  changes: number;
  /** Transactions. */
  commit: Latency;
  /** Batches, from the moment they were handed over to the commit that holds them. */
  write: Latency;
  /** Questions. */
  read: Latency;
  /** Transactions that failed. */
  commits_failed: number;
  /** Questions that failed. */
  reads_failed: number;
  /** Times that another process held the lock for too long. */
  busy: number;
  /** Share of operations that needed nothing from the disk, 0 to 1; null: there were none. */
  cache_hit_ratio: number | null;
  /** Connections that read. */
  readers: number;
  /** Of them in use. */
  readers_busy: number;
  /** Times the write-ahead log was moved into the database. */
  checkpoints: number;
  /** Times a reader kept it from moving whole. */
  checkpoints_blocked: number;
  /** Runs of the maintenance. */
  maintenances: number;
};

/** `POST /api/health/optimize`. */
export type Optimized = {
  /** `ok`, always where this is answered. */
  status: string;
  /** The files before. */
  before: DatabaseFile;
  /** The files after. */
  after: DatabaseFile;
  /** Tables whose statistics were made anew. */
  tables_analyzed: number;
  /** Given back to the file system. */
  bytes_freed: number;
  /** Whether the write-ahead log was emptied; if not, a reader was in the way. */
  wal_emptied: boolean;
  /** Pieces it was done in; writes went on between them. */
  slices: number;
  /** The longest of them. */
  longest_slice_seconds: number;
  /** From beginning to end. */
  duration_seconds: number;
};

/** How the server was at one moment. */
export type HealthSample = {
  /** Milliseconds since 1970, UTC. */
  at_ms: number;
  /** Executions that run. */
  running: number;
  /** Executions that wait for their start. */
  waiting: number;
  /** WebSocket and SSE connections. */
  viewers: number;
  /** Batches that wait for the catalog. */
  queued: number;
  /** Output that a power cut now would lose. */
  unsynced_bytes: number;
  /** The process's memory. */
  resident_bytes: number;
  /** Its open files. */
  open_fds: number;
  /** The catalog with its write-ahead log. */
  database_bytes: number;
  /** Free bytes of the storage's file system. */
  free_bytes: number;
  /** All bytes of it. */
  space_bytes: number;
  /** Transactions of the catalog since the sample before. */
  commits: number;
  /** Their mean time in seconds; null without any. */
  commit_seconds: number | null;
};

/** `GET /api/health/history`. */
export type HealthHistory = {
  /** Time between two samples. */
  every_seconds: number;
  /**
   * At most those of the last 24 hours, oldest first; the last one is of now. They begin with
   * the server: it keeps them in memory.
   */
  samples: Array<HealthSample>;
  /**
   * When the file system is full if it goes on filling as it did; null: it does not fill, or
   * not long enough is known.
   */
  full_in_seconds: number | null;
};

/**
 * `GET /api/health/bundle`: what somebody who helps needs to know. No name, command, environment,
 * output, token or path of a script is in it.
 */
export type SupportBundle = {
  /** The program's version. */
  version: string;
  /** Kernel and processor architecture. */
  system: string;
  /** Processors that it may use. */
  processors: number;
  /** Whether callers must authenticate. */
  auth: boolean;
  /** Part by part. */
  status: HealthStatus;
  /** Figures. */
  metrics: HealthMetrics;
  /** What is beyond its threshold. */
  findings: Array<Finding>;
  /** The last 24 hours. */
  history: HealthHistory;
};

/** A part of a range. */
export type StatisticsPart = {
  /** Where it begins. */
  since: string;
  /** How many were created in it. */
  runs: number;
  /** Of them completed. */
  completed: number;
  /** Of them failed. */
  failed: number;
  /** Of them cancelled. */
  cancelled: number;
  /** Median duration of those that completed, in seconds; null without any. */
  median_seconds: number | null;
  /** The duration that 95 of 100 completed ones do not exceed, in seconds; null without any. */
  p95_seconds: number | null;
  /** Median time between creation and start, in seconds; null when nothing was started. */
  queue_seconds: number | null;
  /** Bytes of output. */
  bytes: number;
};

/** What was created in one hour of one weekday. */
export type WeekHour = {
  /** How many. */
  runs: number;
  /** Of them failed. */
  failed: number;
};

/** How the steps of one name in the executions of one name went. */
export type StepStatistics = {
  /** The executions' name. */
  execution: string;
  /** The steps' name. */
  step: string;
  /** How many passed. */
  passed: number;
  /** How many failed. */
  failed: number;
  /** Median duration of those that passed, in seconds; null without any. */
  median_seconds: number | null;
};

/** `GET /api/statistics`: what was created in a time range. */
export type RangeStatistics = {
  /** Where the range begins. */
  since: string;
  /** Where it ends. */
  until: string;
  /** Length of a part: an hour or a day. */
  part_seconds: number;
  /** All of it. */
  whole: StatisticsPart;
  /** The range in parts, oldest first. The first and the last one may be cut. */
  parts: Array<StatisticsPart>;
  /** How many ended for each reason, other than that all went well. */
  reasons: { [key in string]: number };
  /** By weekday from Monday, then by hour, in the asked time zone. */
  week: Array<Array<WeekHour>>;
  /** The steps with the longest median duration, at most 20. */
  slowest_steps: Array<StepStatistics>;
  /** Steps that both fail and pass, those that fail most often first, at most 20. */
  flakiest_steps: Array<StepStatistics>;
  /** Steps are those of so many executions: the newest ones of the range. */
  step_executions: number;
};

/** What can be subscribed to. */
export type Topic = 'executions' | 'execution';

/** What a client says over `/ws`. */
export type ClientMessage =
  | {
      op: 'subscribe';
      /** A number that the client picks. */
      sub: number;
      /** What to send. */
      topic: Topic;
      /** Of which execution. */
      id?: string;
      /** What the client has. */
      cursor?: Cursor;
      /** Send the lines as well. */
      lines?: boolean;
    }
  | {
      op: 'unsubscribe';
      /** The number. */
      sub: number;
    }
  | { op: 'ping' };

/** What the server says over `/ws`. */
export type ServerMessage =
  | { op: 'hello'; version: string }
  | { op: 'pong' }
  | { op: 'error'; sub?: number; problem: Problem }
  | { op: 'execution'; sub: number; execution: Execution }
  | { op: 'statistics'; sub: number; statistics: Statistics }
  | {
      op: 'state';
      sub: number;
      cursor: Cursor;
      execution: Execution;
      steps: Array<Step>;
      artifacts: Array<Artifact>;
      annotations: Array<Annotation>;
    }
  | {
      op: 'update';
      sub: number;
      cursor: Cursor;
      execution: Execution;
      steps: Array<Step>;
      artifacts: Array<Artifact>;
      annotations: Array<Annotation>;
    }
  | {
      op: 'position';
      sub: number;
      lines: number;
      bytes: number;
      seq: number;
      cursor: Cursor;
      ended: boolean;
    }
  | { op: 'lines'; sub: number; cursor: Cursor; lines: Array<Line> }
  | { op: 'end'; sub: number; cursor: Cursor };

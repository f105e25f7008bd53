//! What keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use stepflow_model::ExecutionId;
use stepflow_view::{Pattern, Syntax};

use super::{
    marks::{Deed, UNASKED_MAX},
    state::{App, LEVELS, Prompt, PromptKind, ROWS_MAX, Search, TIMES, Tab},
    worker::Ask,
};
use crate::{
    source::{Find, From, Query},
    text::say,
};

impl App {
    /// Acts on a key.
    pub fn key(&mut self, key: KeyEvent) {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            match key.code {
                KeyCode::Char('c') => self.quit = true,
                KeyCode::Char('z') => self.suspend = true,
                KeyCode::Char('r') => {
                    if let Some(prompt) = &mut self.prompt {
                        prompt.regex = !prompt.regex;
                    }
                }
                _ => {}
            }
            return;
        }
        if self.prompt.is_some() {
            return self.typed(key.code);
        }
        self.message = None;
        if self.help {
            self.help = false;
            return;
        }
        match key.code {
            KeyCode::Char('?') => self.help = true,
            KeyCode::Char('q') => self.quit = true,
            _ if self.one.is_some() => self.key_in_one(key.code),
            _ => self.key_in_list(key.code),
        }
    }

    fn key_in_list(&mut self, code: KeyCode) {
        let last = self.executions.len().saturating_sub(1);
        let page = self.height.max(1) as usize;
        match code {
            KeyCode::Char('j') | KeyCode::Down => self.select((self.selected + 1).min(last)),
            KeyCode::Char('k') | KeyCode::Up => self.select(self.selected.saturating_sub(1)),
            KeyCode::PageDown => self.select((self.selected + page).min(last)),
            KeyCode::PageUp => self.select(self.selected.saturating_sub(page)),
            KeyCode::Home => self.select(0),
            KeyCode::End => self.select(last),
            KeyCode::Enter => self.open_selected(),
            KeyCode::Char('x') => {
                if let Some(one) = self.executions.get(self.selected) {
                    self.marks.toggle(one.id);
                }
            }
            KeyCode::Char('X') => self.marks.reach(&self.executions, self.selected),
            KeyCode::Char('o') => {
                if let Some(one) = self.executions.get(self.selected) {
                    self.asks.push(Ask::Page(one.id));
                }
            }
            KeyCode::Char('/') => self.ask_for(PromptKind::Name),
            KeyCode::Char('v') => {
                let words = [None, Some("running"), Some("failed"), Some("completed")];
                let at = words.iter().position(|word| *word == self.query.status.as_deref());
                let next = words[at.map_or(0, |at| (at + 1) % words.len())];
                self.query.status = next.map(str::to_owned);
                self.list_anew();
            }
            KeyCode::Char('.') if !self.executions.is_empty() => self.ask_for(PromptKind::Act),
            KeyCode::Esc if self.marks.count() > 0 => self.marks.clear(),
            KeyCode::Esc => {
                self.query = Query { limit: self.query.limit, ..Query::default() };
                self.list_anew();
            }
            _ => {}
        }
    }

    /// Chooses a row of the list.
    pub fn select(&mut self, at: usize) {
        self.selected = at;
        // The end of what is held is near: more is asked for.
        let held = self.executions.len() as u32;
        if self.selected + 20 > self.executions.len()
            && u64::from(held) < self.total
            && self.query.limit < ROWS_MAX
            && held >= self.query.limit
        {
            self.query.limit = (self.query.limit * 2).min(ROWS_MAX);
            self.asks.push(Ask::List(Box::new(self.query.clone())));
        }
    }

    pub fn open_selected(&mut self) {
        if let Some(chosen) = self.executions.get(self.selected) {
            self.asks.push(Ask::Open(chosen.id.to_string()));
            self.opening = true;
        }
    }

    /// Goes to a step, and to its first line.
    pub fn choose_step(&mut self, at: usize) {
        let height = self.height;
        let Some(one) = &mut self.one else { return };
        let steps = one.steps();
        one.step = at.min(steps.len().saturating_sub(1));
        let first = steps.get(one.step).map(|index| one.detail.steps[*index].first_line);
        if let Some(first) = first {
            self.asks.extend(one.go_to(first, height));
            if one.level == 0 {
                one.top = one.cursor;
            }
        }
    }

    fn list_anew(&mut self) {
        self.selected = 0;
        self.marks.clear();
        self.asks.push(Ask::List(Box::new(self.query.clone())));
    }

    fn ask_for(&mut self, kind: PromptKind) {
        self.prompt = Some(Prompt { kind, text: String::new(), regex: false });
    }

    fn key_in_one(&mut self, code: KeyCode) {
        let height = self.height;
        let Some(one) = &mut self.one else { return };
        let page = height.saturating_sub(1).max(1) as i64;
        match code {
            KeyCode::Down => one.scroll(1, height),
            KeyCode::Up => one.scroll(-1, height),
            KeyCode::PageDown | KeyCode::Char(' ') => one.scroll(page, height),
            KeyCode::PageUp => one.scroll(-page, height),
            KeyCode::Home => one.scroll(i64::MIN, height),
            KeyCode::End => one.scroll(i64::MAX, height),
            KeyCode::Right => one.left = (one.left + 8).min(16_384),
            KeyCode::Left => one.left = one.left.saturating_sub(8),
            KeyCode::Char(step @ ('j' | 'k')) => {
                let at = one.step;
                self.choose_step(if step == 'j' { at + 1 } else { at.saturating_sub(1) });
            }
            KeyCode::Char('o') => self.asks.push(Ask::Page(one.id)),
            KeyCode::Char('d') => {
                self.asks.push(Ask::Save(one.id));
                self.message = Some(say::saving());
            }
            KeyCode::Enter => {
                if let Some(index) = one.steps().get(one.step) {
                    let step = one.detail.steps[*index].index;
                    match one.folded.iter().position(|folded| *folded == step) {
                        Some(at) => drop(one.folded.remove(at)),
                        None => one.folded.push(step),
                    }
                }
            }
            KeyCode::Char('f') => one.follow = !one.follow,
            KeyCode::Char(error @ ('e' | 'E')) => {
                let (id, from) = (one.id, one.line());
                one.follow = false;
                self.asks.push(Ask::Error { id, from, back: error == 'E' });
            }
            KeyCode::Char('n') => self.next_hit(false),
            KeyCode::Char('N') => self.next_hit(true),
            KeyCode::Char('w') => (one.wrap, one.left) = (!one.wrap, 0),
            KeyCode::Char('m') => one.time = (one.time + 1) % TIMES.len(),
            KeyCode::Char('v') => {
                let line = one.line();
                one.level = (one.level + 1) % LEVELS.len();
                one.other_document();
                self.asks.extend(one.go_to(line, height));
            }
            KeyCode::Char('z' | '[') => one.wide = !one.wide,
            KeyCode::Char('1') => one.tab = Tab::Log,
            KeyCode::Char('2') => one.tab = Tab::Timeline,
            KeyCode::Tab => {
                one.tab = if one.tab == Tab::Log { Tab::Timeline } else { Tab::Log };
            }
            KeyCode::Char('/') => self.ask_for(PromptKind::Search),
            KeyCode::Char(':') => self.ask_for(PromptKind::Line),
            KeyCode::Char('.') => self.ask_for(PromptKind::Act),
            KeyCode::Char('c') => {
                let line = one.cache.line(one.cursor);
                self.copy = line.map(crate::line::plain);
                self.message = Some(say::line_copied());
            }
            KeyCode::Char('y') => {
                let line = one.line();
                self.copy = Some(match &one.page {
                    Some(page) => format!("{page}#L{line}"),
                    None => format!("stepflow logs {} --since {line}", one.id),
                });
                self.message = Some(say::link_copied());
            }
            KeyCode::Esc if one.search.is_some() => one.search = None,
            KeyCode::Esc | KeyCode::Backspace if self.has_list => {
                self.one = None;
                self.asks.push(Ask::List(Box::new(self.query.clone())));
            }
            _ => {}
        }
    }

    fn next_hit(&mut self, back: bool) {
        let Some(one) = &mut self.one else { return };
        let Some(search) = &one.search else {
            self.message = Some(say::slash_searches());
            return;
        };
        let from = if back { From::Before(one.line()) } else { From::Line(one.line() + 1) };
        let (text, regex) = (search.text.clone(), search.regex);
        one.follow = false;
        let find = Find { text, regex, case: false, from, limit: 1 };
        self.asks.push(Ask::Hit { id: one.id, find });
    }

    fn typed(&mut self, code: KeyCode) {
        let Some(prompt) = &mut self.prompt else { return };
        match code {
            KeyCode::Esc => self.prompt = None,
            KeyCode::Char(answer) if prompt.kind == PromptKind::Act => {
                self.prompt = None;
                let deed = match answer {
                    's' => Deed::Stop,
                    'r' => Deed::Rerun,
                    _ => return,
                };
                if self.meant().len() > UNASKED_MAX {
                    self.ask_for(PromptKind::Sure(deed));
                } else {
                    self.act(deed);
                }
            }
            KeyCode::Char(c) => prompt.text.push(c),
            KeyCode::Backspace if prompt.text.is_empty() => self.prompt = None,
            KeyCode::Backspace => drop(prompt.text.pop()),
            KeyCode::Enter => self.entered(),
            _ => {}
        }
    }

    /// What an action is about: the execution that is open, else those that are selected, else the
    /// one that is chosen.
    pub fn meant(&self) -> Vec<ExecutionId> {
        match &self.one {
            Some(one) => vec![one.id],
            None if self.marks.count() > 0 => self.marks.of(&self.executions),
            None => self.executions.get(self.selected).map(|one| one.id).into_iter().collect(),
        }
    }

    fn act(&mut self, deed: Deed) {
        let ids = self.meant();
        if ids.is_empty() {
            return;
        }
        self.asks.push(match deed {
            Deed::Stop => Ask::Cancel(ids),
            Deed::Rerun => Ask::Rerun(ids),
        });
        self.marks.clear();
    }

    fn entered(&mut self) {
        let Some(Prompt { kind, text, regex }) = self.prompt.take() else { return };
        let height = self.height;
        match (kind, &mut self.one) {
            (PromptKind::Name, _) => {
                self.query.name_contains = (!text.is_empty()).then_some(text);
                self.list_anew();
            }
            (PromptKind::Sure(deed), None) => {
                if text.trim().parse() == Ok(self.meant().len()) {
                    self.act(deed);
                } else {
                    self.message = Some(say::nothing_done());
                }
            }
            (PromptKind::Line, Some(one)) => match text.parse::<u64>() {
                Ok(line) => self.asks.extend(one.go_to(line.max(1), height)),
                Err(_) => self.message = Some(say::no_line_number(text)),
            },
            (PromptKind::Search, Some(one)) if !text.is_empty() => {
                let pattern = match Pattern::new(&text, Syntax { regex, case: false }) {
                    Ok(pattern) => pattern,
                    Err(error) => {
                        self.message = Some(error.to_string());
                        return;
                    }
                };
                let id = one.id;
                one.follow = false;
                let find =
                    |from, limit| Find { text: text.clone(), regex, case: false, from, limit };
                self.asks.push(Ask::Hit { id, find: find(From::Line(one.line().max(1)), 1) });
                self.asks.push(Ask::Count { id, find: find(From::Line(1), 0) });
                let pattern = Some(pattern);
                one.search = Some(Search { text, regex, pattern, lines: 0, complete: false });
            }
            _ => {}
        }
    }
}

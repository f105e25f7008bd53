//! What the mouse does: a click chooses what it points at, the wheel scrolls what is below it.

use ratatui::{
    crossterm::event::{MouseButton, MouseEvent, MouseEventKind},
    layout::Position,
};

use super::state::App;

/// Lines that one notch of the wheel scrolls.
const NOTCH: i64 = 3;

/// What a place on the screen shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// By its place in the list.
    Execution(usize),
    /// By its place among the steps that are shown.
    Step(usize),
    /// By its place in the document.
    Line(u64),
}

/// A row, or a part of one, and what it shows. Drawing notes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    pub area: ratatui::layout::Rect,
    pub target: Target,
}

impl App {
    /// Acts on the mouse.
    pub fn mouse(&mut self, event: MouseEvent) {
        if self.prompt.is_some() {
            return;
        }
        let at = Position { x: event.column, y: event.row };
        let below = self.spots.iter().find(|spot| spot.area.contains(at)).map(|spot| spot.target);
        match event.kind {
            MouseEventKind::Down(MouseButton::Left) if self.help => self.help = false,
            MouseEventKind::Down(MouseButton::Left) => self.click(below),
            MouseEventKind::ScrollDown => self.wheel(below, 1),
            MouseEventKind::ScrollUp => self.wheel(below, -1),
            _ => {}
        }
    }

    fn click(&mut self, target: Option<Target>) {
        self.message = None;
        match (target, &mut self.one) {
            // A second click opens, as a second press of a button does elsewhere.
            (Some(Target::Execution(at)), None) if at == self.selected => self.open_selected(),
            (Some(Target::Execution(at)), None) => {
                self.selected = at.min(self.executions.len().saturating_sub(1));
            }
            (Some(Target::Step(at)), Some(_)) => self.choose_step(at),
            (Some(Target::Line(place)), Some(one)) => {
                one.follow = false;
                one.cursor = place.clamp(1, one.total().max(1));
            }
            _ => {}
        }
    }

    fn wheel(&mut self, below: Option<Target>, notches: i64) {
        let height = self.height;
        match (&mut self.one, below) {
            (None, _) => {
                let last = self.executions.len().saturating_sub(1);
                let to = self.selected.saturating_add_signed((notches * NOTCH) as isize);
                self.select(to.min(last));
            }
            (Some(one), Some(Target::Step(_))) => {
                let to = one.step.saturating_add_signed(notches as isize);
                self.choose_step(to);
            }
            (Some(one), _) => one.wheel(notches * NOTCH, height),
        }
    }
}

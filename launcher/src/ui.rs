//! What people and programs are shown: a spinner on a terminal, plain lines elsewhere, JSON lines on request.

use serde_json::Value;
use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

const FRAMES: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
/// Rewrites the line: carriage return, erase to its end.
const ERASE: &str = "\r\x1b[K";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Terminal,
    Plain,
    Json,
    Quiet,
}

pub struct Ui {
    mode: Mode,
    phase: Option<(String, Instant)>,
    frame: usize,
}

impl Ui {
    pub fn new(json: bool, quiet: bool) -> Self {
        let mode = match (json, quiet) {
            (true, _) => Mode::Json,
            (_, true) => Mode::Quiet,
            _ if std::io::stderr().is_terminal() => Mode::Terminal,
            _ => Mode::Plain,
        };
        Self { mode, phase: None, frame: 0 }
    }

    pub fn is_json(&self) -> bool {
        self.mode == Mode::Json
    }

    /// What happens now, until the next phase or [`Ui::settle`].
    pub fn phase(&mut self, text: &str) {
        match self.mode {
            Mode::Terminal => {
                self.settle();
                self.phase = Some((text.to_owned(), Instant::now()));
                self.tick();
            }
            Mode::Plain => eprintln!("sealpod: {text}"),
            Mode::Json => self.event(&serde_json::json!({"type": "phase", "name": text})),
            Mode::Quiet => {}
        }
    }

    /// How far the phase has come; shown on a terminal only.
    pub fn progress(&mut self, text: &str) {
        if let Some((old, _)) = &mut self.phase {
            text.clone_into(old);
            self.tick();
        }
    }

    /// Move the spinner.
    pub fn tick(&mut self) {
        if let Some((text, since)) = &self.phase {
            self.frame = (self.frame + 1) % FRAMES.len();
            eprint!("{ERASE}{} {text} {:.1} s", FRAMES[self.frame], since.elapsed().as_secs_f32());
        }
    }

    /// The phase is over; the line is free.
    pub fn settle(&mut self) {
        if let Some((text, since)) = self.phase.take() {
            eprintln!("{ERASE}✓ {text} {:.1} s", since.elapsed().as_secs_f32());
        }
    }

    /// The phase failed; the line is free.
    pub fn abandon(&mut self) {
        if self.phase.take().is_some() {
            eprint!("{ERASE}");
        }
    }

    /// A remark.
    pub fn line(&mut self, text: &str) {
        match self.mode {
            Mode::Terminal => {
                eprintln!("{}{text}", if self.phase.is_some() { ERASE } else { "" });
                self.tick();
            }
            Mode::Plain => eprintln!("sealpod: {text}"),
            Mode::Json => self.event(&serde_json::json!({"type": "log", "line": text})),
            Mode::Quiet => {}
        }
    }

    /// One JSON line, in JSON mode only.
    pub fn event(&self, event: &Value) {
        if self.mode == Mode::Json {
            // A reader that is gone is no reason to stop the pod.
            let _ = writeln!(std::io::stdout(), "{event}");
        }
    }
}

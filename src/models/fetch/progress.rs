//! What is shown while models are fetched: a bar over bytes on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The bar and the lines above it. Everything goes to stderr.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    lines: bool,
}

impl Progress {
    /// A bar on a terminal, lines elsewhere.
    pub fn visible() -> Self {
        let terminal = stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let template = "{wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}\n{msg}";
        bar.set_style(ProgressStyle::with_template(template).expect("the template is valid"));
        Self { bar, lines: true }
    }

    /// Shows nothing.
    pub fn hidden() -> Self {
        Self { bar: ProgressBar::hidden(), lines: false }
    }

    /// How many bytes there are in all.
    pub fn set_total(&self, bytes: u64) {
        self.bar.set_length(bytes);
    }

    /// Bytes done so far.
    pub fn set(&self, bytes: u64) {
        self.bar.set_position(bytes);
    }

    /// Bytes done so far, as last set.
    pub fn get(&self) -> u64 {
        self.bar.position()
    }

    /// What is being done, below the bar.
    pub fn doing(&self, text: impl Into<String>) {
        self.bar.set_message(text.into());
    }

    /// A line that stays.
    pub fn line(&self, text: impl AsRef<str>) {
        if self.lines {
            self.bar.suspend(|| eprintln!("{}", text.as_ref()));
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

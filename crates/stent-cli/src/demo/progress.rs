//! What a person sees while the demo runs: a bar for each step on a terminal, plain lines elsewhere or where `NO_COLOR`
//! is set. A reader who has gone away (`| head`) stops the words, not the demo.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::ledger::Step;

const BAR: &str = "  {prefix:<8}{bar:40.cyan/blue} {pos:>5} of {len}";

/// How often a bar is drawn, at most, per second.
const DRAWS_PER_SECOND: u8 = 20;

/// Plain lines come each time another part of this size is done.
const PERCENT_OF_A_LINE: u64 = 10;

pub(super) struct Progress {
    face: Face,
    counts: [u64; Step::ALL.len()],
    orders: u64,
}

enum Face {
    Bars { all: MultiProgress, each: Vec<ProgressBar> },
    Lines { told: u64 },
}

impl Progress {
    pub(super) fn start(orders: u64) -> Self {
        let face = if is_plain() {
            Face::Lines { told: 0 }
        } else {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stdout_with_hz(DRAWS_PER_SECOND));
            let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = |step: Step| {
                let bar = all.add(ProgressBar::new(orders)).with_style(style.clone()).with_prefix(step.name());
                bar.enable_steady_tick(Duration::from_millis(100));
                bar
            };
            let each = Step::ALL.into_iter().map(bar).collect();
            Face::Bars { all, each }
        };
        Self { face, counts: [0; Step::ALL.len()], orders }
    }

    /// A step of one more order has been seen.
    pub(super) fn count(&mut self, step: Step) {
        self.counts[step as usize] += 1;
        if let Face::Bars { each, .. } = &self.face {
            each[step as usize].inc(1);
        }
    }

    /// Tells how far it is, where that is not seen anyway.
    pub(super) fn tell(&mut self) {
        let percent = (self.counts.iter().sum::<u64>() * 100).checked_div(self.orders * Step::ALL.len() as u64);
        let part = percent.unwrap_or(100) / PERCENT_OF_A_LINE;
        if let Face::Lines { told } = &mut self.face
            && part > *told
        {
            *told = part;
            let counts = Step::ALL.map(|step| format!("{} {}", step.name(), self.counts[step as usize]));
            let percent = part * PERCENT_OF_A_LINE;
            self.say(&format!("  {percent:>3} %  {} of {}", counts.join(", "), self.orders));
        }
    }

    /// Says a line, above the bars if there are any.
    pub(super) fn say(&self, line: &str) {
        match &self.face {
            Face::Bars { all, .. } => drop(all.println(line)),
            Face::Lines { .. } => say(line),
        }
    }

    /// Leaves the bars as they stand.
    pub(super) fn finish(self) {
        if let Face::Bars { each, .. } = self.face {
            each.iter().for_each(ProgressBar::abandon);
            // The last bar has no line end of its own.
            say("");
        }
    }
}

/// Says a line while there are no bars.
pub(super) fn say(line: &str) {
    drop(writeln!(io::stdout(), "{line}"));
}

fn is_plain() -> bool {
    !io::stdout().is_terminal() || env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

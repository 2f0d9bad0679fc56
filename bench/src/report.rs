//! What a run says: a table for people, a JSON document for programs. Judges nothing by itself; verdicts are those of
//! `aim`.

use serde::Serialize;

use crate::aim::{Aim, Sense, Verdict};
use crate::figure::{Figure, Measured, Part};

/// Where and how the figures came about.
#[derive(Debug, Serialize)]
pub struct Setting {
    /// Which store.
    pub store: &'static str,
    /// The version of what the store stands on.
    pub version: String,
    /// Cores that all parts share.
    pub cores: usize,
    /// What the disk is formatted with.
    pub filesystem: String,
    /// How the database is set up, as far as a reader of the figures asks; nothing where it is always the same.
    pub settings: Vec<(String, String)>,
    /// How often each part was measured.
    pub rounds: usize,
}

impl Setting {
    fn to_lines(&self) -> String {
        let Self { store, version, cores, filesystem, settings, rounds } = self;
        let noun = if *rounds == 1 { "round" } else { "rounds" };
        let mut lines = format!("{store} ({version}), {cores} cores, {filesystem}, median of {rounds} {noun}\n");
        if !settings.is_empty() {
            let words: Vec<_> = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
            lines.push_str(&(words.join(", ") + "\n"));
        }
        lines
    }
}

/// Everything that was measured, with the aims.
#[derive(Debug, Serialize)]
pub struct Report {
    setting: Setting,
    figures: Vec<FigureLine>,
    aims: Vec<AimLine>,
    passed: bool,
}

#[derive(Debug, Serialize)]
struct FigureLine {
    figure: Figure,
    unit: &'static str,
    median: f64,
    rounds: Vec<f64>,
}

#[derive(Debug, Serialize)]
struct AimLine {
    figure: Figure,
    sense: Sense,
    value: Option<f64>,
    aim: f64,
    ratio: Option<RatioLine>,
    verdict: Verdict,
}

#[derive(Debug, Serialize)]
struct RatioLine {
    to: Figure,
    value: Option<f64>,
    aim: f64,
}

impl Report {
    /// Puts a run together with the aims for the `wanted` parts.
    pub fn new(setting: Setting, measured: &Measured, aims: &[Aim], wanted: &[Part]) -> Self {
        let figures = Figure::ALL.iter().filter_map(|&figure| {
            let median = measured.median(figure)?;
            Some(FigureLine { figure, unit: figure.unit(), median, rounds: measured.values(figure) })
        });
        let aims: Vec<_> = aims
            .iter()
            .filter(|aim| wanted.contains(&aim.figure.part()))
            .map(|aim| AimLine {
                figure: aim.figure,
                sense: aim.sense,
                value: measured.median(aim.figure),
                aim: aim.absolute,
                ratio: aim.ratio.map(|(to, limit)| RatioLine {
                    to,
                    value: measured.median_ratio(aim.figure, to),
                    aim: limit,
                }),
                verdict: aim.judge(measured),
            })
            .collect();
        let passed = aims.iter().all(|aim| aim.verdict.passes());
        Self { setting, figures: figures.collect(), aims, passed }
    }

    /// Whether every aim that was asked for is met.
    pub const fn passed(&self) -> bool {
        self.passed
    }

    /// The JSON document.
    pub fn to_json(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The table.
    pub fn to_table(&self) -> String {
        let head = ["", "what", "figure", "aim", "ratio in this run", "verdict"].map(str::to_owned);
        let asked = |figure| self.aims.iter().any(|aim| aim.figure == figure);
        let measured = |figure| self.figures.iter().any(|line| line.figure == figure);
        let rows = Figure::ALL.iter().filter(|&&figure| asked(figure) || measured(figure)).map(|&f| self.row(f));
        self.setting.to_lines() + "\n" + &lay_out(&[head].into_iter().chain(rows).collect::<Vec<_>>())
    }

    fn row(&self, figure: Figure) -> [String; 6] {
        let part = figure.part().name();
        let line = self.figures.iter().find(|line| line.figure == figure);
        let value = line.map_or_else(|| "-".to_owned(), |line| format!("{} {}", number(line.median), figure.unit()));
        let (mut limit, mut ratio, mut verdict) = (String::new(), String::new(), String::new());
        if let Some(aim) = self.aims.iter().find(|aim| aim.figure == figure) {
            limit = format!("{} {}", aim.sense.sign(), number(aim.aim));
            verdict = aim.verdict.word().to_owned();
            if let Some(to) = &aim.ratio {
                let value = to.value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
                ratio = format!("{value} of {} ({} {})", to.to.name(), aim.sense.sign(), to.aim);
            }
        }
        [part, figure.what().to_owned(), value, limit, ratio, verdict]
    }
}

/// Three digits at least, thousands apart.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        0.0..10.0 => 3,
        10.0..100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    if decimals > 0 {
        return text;
    }
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    sign.to_owned() + &groups.join(",")
}

/// Columns as wide as their widest cell; the figures to the right, all else to the left.
fn lay_out(rows: &[[String; 6]]) -> String {
    const FIGURE: usize = 2;
    let mut widths = [0; 6];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let cell = if column == FIGURE { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") };
            line.push_str(&cell);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aim::SQLITE;
    use crate::figure::Sample;

    fn report(samples: &[Sample], wanted: &[Part]) -> Report {
        let mut measured = Measured::default();
        measured.next_round();
        measured.add(samples);
        Report::new(setting(&[]), &measured, SQLITE, wanted)
    }

    fn setting(settings: &[(&str, &str)]) -> Setting {
        Setting {
            store: "sqlite",
            version: "3.x".to_owned(),
            cores: 2,
            filesystem: "ext4".to_owned(),
            settings: settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            rounds: 1,
        }
    }

    #[test]
    fn the_head_names_the_settings_where_there_are_any() {
        assert_eq!(setting(&[]).to_lines(), "sqlite (3.x), 2 cores, ext4, median of 1 round\n");
        let told = setting(&[("fsync", "on"), ("shared_buffers", "256MB")]).to_lines();
        assert_eq!(told.lines().nth(1), Some("fsync=on, shared_buffers=256MB"));
    }

    #[test]
    fn numbers_keep_three_digits_and_part_thousands() {
        let shown = [0.1558, 9.5, 42.25, 314.6, 6_419.2, 1_565_000.0, -1_234.0].map(number);
        assert_eq!(shown, ["0.156", "9.500", "42.2", "315", "6,419", "1,565,000", "-1,234"]);
    }

    #[test]
    fn the_table_shows_figure_aim_ratio_and_verdict() {
        let samples = [Sample::of(Figure::RawCommit, 0.2), Sample::of(Figure::Step, 0.3)];
        let table = report(&samples, &[Part::W3]).to_table();
        let row = table.lines().find(|line| line.starts_with("W3")).unwrap();
        let cells: Vec<_> = row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let step = ["W3", "a step, 1 execution x 1,000", "0.300 ms", "<= 0.250", "1.50 of raw.commit (<= 1.6)"];
        assert_eq!(cells[..5], step);
        assert_eq!(cells[5], "met as ratio");
    }

    #[test]
    fn a_run_passes_only_if_every_aim_asked_for_is_met() {
        let step = Sample::of(Figure::Step, 0.2);
        assert!(report(&[step], &[Part::W3]).passed());
        assert!(!report(&[step], &[Part::W3, Part::W5]).passed(), "W5 was asked for and is missing");
        assert!(report(&[], &[Part::Raw, Part::Probe]).passed(), "yardsticks have no aims");
    }

    #[test]
    fn the_document_has_every_figure_and_every_aim_that_was_asked_for() {
        let text = report(&[Sample::of(Figure::Step, 0.2)], &[Part::W3]).to_json().unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["figures"][0]["figure"], "w3.step");
        assert_eq!(document["aims"][0]["ratio"]["to"], "raw.commit");
        assert_eq!(document["aims"][0]["verdict"], "met");
        assert_eq!(document["passed"], true);
    }
}

//! What a run says at its end: a short table, and for a failure the smallest timeline that shows it.

use std::fmt::Write;
use std::time::Duration;

use crate::checker::{Finding, Judgement, Rules, percentile};
use crate::line::{Line, Verb};

/// How many lines of a timeline are shown, half from its beginning and half from its end.
const SHOWN_LINES: usize = 60;

/// How many findings are named beside the one whose timeline is shown.
const SHOWN_FINDINGS: usize = 10;

pub fn table(judgement: &Judgement, rules: Rules, integrity: &str, time: Duration) -> String {
    let kills = &judgement.kills;
    let mean = |total: usize| total as f64 / kills.len().max(1) as f64;
    let hits = kills.iter().filter(|kill| kill.tasks > 0).count();
    let tasks: usize = kills.iter().map(|kill| kill.tasks).sum();
    let bodies: usize = kills.iter().map(|kill| kill.bodies).sum();
    let extra: usize = kills.iter().map(|kill| kill.extra_runs).sum();
    let mut rows = vec![
        ("kills", kills.len(), format!("{hits} hit tasks under way, {:.1} each on average", mean(tasks))),
        ("executions", judgement.acknowledged, format!("acknowledged, {} completed rightly", judgement.completed)),
        ("step bodies", judgement.runs, format!("run, {extra} of them again; {bodies} were in flight at the kills")),
        ("recoveries", judgement.recoveries.len(), spans(&judgement.recoveries, rules.recovery_p99)),
    ];
    if !judgement.suspects.is_empty() {
        let suspects = spans(&judgement.suspects, rules.suspect_p99);
        rows.push(("suspects", judgement.suspects.len(), format!("{suspects}, over which several workers died")));
    }
    if judgement.outages > 0 {
        let words = format!("of the server, {:.1} s in all", judgement.outage_time.as_secs_f64());
        rows.insert(1, ("outages", judgement.outages, words));
        let late = spans(&judgement.late_recoveries, rules.after_outage_p99);
        rows.push(("late ones", judgement.late_recoveries.len(), format!("{late}, since the server was back")));
    }
    if let Some((limit, _)) = rules.shape.limit() {
        let mut words = format!("at most, of {limit} that may be");
        if let Some((took, most)) = judgement.time {
            let percent = took.as_secs_f64() / most.as_secs_f64() * 100.0;
            words += &format!("; all took {took:.2?} of {most:.2?} ({percent:.0} %)");
        }
        rows.push(("at once", judgement.most_at_once, words));
    }
    let words = format!("integrity check {integrity}, {:.1} s", time.as_secs_f64());
    rows.push(("findings", judgement.findings.len(), words));
    let mut text = String::new();
    for (name, count, words) in rows {
        let _ = writeln!(text, "{name:<12}{count:>7}  {words}");
    }
    text
}

fn spans(ascending: &[Duration], limit: Duration) -> String {
    let [p50, p99, max] = [50, 99, 100].map(|percent| percentile(ascending, percent).as_secs_f64());
    format!("p50 {p50:.2} s, p99 {p99:.2} s, max {max:.2} s (p99 at most {:.2} s)", limit.as_secs_f64())
}

/// The findings by name, and the first, which the fewest lines show, with its timeline.
pub fn findings(judgement: &Judgement, ledger: &[Line]) -> String {
    let mut text = String::new();
    for finding in judgement.findings.iter().take(SHOWN_FINDINGS) {
        let _ = writeln!(text, "found: {}", finding.what);
    }
    if judgement.findings.len() > SHOWN_FINDINGS {
        let _ = writeln!(text, "found: {} more", judgement.findings.len() - SHOWN_FINDINGS);
    }
    if let Some(smallest) = judgement.findings.first() {
        text.push_str(&timeline(smallest, ledger));
    }
    text
}

fn timeline(finding: &Finding, ledger: &[Line]) -> String {
    let mut text = format!("\nthe smallest timeline: {}\n", finding.what);
    let lines: Vec<&Line> = finding.lines.iter().filter_map(|at| ledger.get(*at)).collect();
    let start_ns = lines.first().map_or(0, |line| line.at_ns);
    let left_out = lines.len().saturating_sub(SHOWN_LINES);
    for (index, line) in lines.iter().enumerate() {
        if left_out > 0 && index == SHOWN_LINES / 2 {
            let _ = writeln!(text, "  .. {left_out} lines ..");
        }
        if left_out == 0 || index < SHOWN_LINES / 2 || index >= lines.len() - SHOWN_LINES / 2 {
            let _ = writeln!(text, "{}", shown(line, start_ns));
        }
    }
    text
}

fn shown(line: &Line, start_ns: u64) -> String {
    let seconds = line.at_ns.saturating_sub(start_ns) as f64 / 1e9;
    let who = match line.life.number {
        0 => "supervisor".to_owned(),
        number => format!("worker {number} (pid {})", line.life.pid),
    };
    let about = match line.verb {
        Verb::Up | Verb::Kill | Verb::Dead | Verb::Down | Verb::Back => String::new(),
        Verb::Start | Verb::End => format!("execution {}", line.subject.execution),
        Verb::Enter => format!("execution {} {}, attempt {}", line.subject.execution, line.subject.role, line.number),
        Verb::Suspect | Verb::Leave | Verb::Drop => {
            format!("execution {} {}", line.subject.execution, line.subject.role)
        }
        Verb::Run | Verb::Ack => {
            let (role, step) = (line.subject.role, &line.subject.step);
            format!("execution {} {role}/{step}, token {:x}", line.subject.execution, line.number)
        }
    };
    format!("  {seconds:+10.4} s  {who:<22} {:<6} {about}", line.verb).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::{Life, Role, Subject};

    fn line(verb: Verb, life: u32, at_ns: u64) -> Line {
        let subject = match verb {
            Verb::Kill => Subject::none(),
            _ => Subject { execution: 7, role: Role::Left, step: "c1".to_owned() },
        };
        Line { verb, subject, number: 255, life: Life { number: life, pid: 40 + life }, at_ns }
    }

    #[test]
    fn the_first_finding_is_shown_with_its_timeline() {
        let ledger =
            [line(Verb::Run, 1, 1_000_000_000), line(Verb::Kill, 1, 1_500_000_000), line(Verb::Run, 2, 2_000_000_000)];
        let large = Finding { what: "large".to_owned(), lines: vec![0, 1, 2] };
        let small = Finding { what: "small".to_owned(), lines: vec![1, 2] };
        let text = findings(&Judgement { findings: vec![small, large], ..Judgement::default() }, &ledger);
        let wanted = "found: small\nfound: large\n\nthe smallest timeline: small\n     \
                      +0.0000 s  worker 1 (pid 41)      kill\n     \
                      +0.5000 s  worker 2 (pid 42)      run    execution 7 left/c1, token ff\n";
        assert_eq!(text, wanted);
    }

    #[test]
    fn a_long_timeline_is_shown_from_both_ends() {
        let ledger: Vec<Line> = (0..200).map(|at| line(Verb::Run, 1, at)).collect();
        let finding = Finding { what: "long".to_owned(), lines: (0..200).collect() };
        let text = timeline(&finding, &ledger);
        assert!(text.contains("  .. 140 lines .."), "{text}");
        assert_eq!(text.lines().count(), SHOWN_LINES + 3);
    }
}

//! Suspicions about labels, in `info --labels` and after a fit.

use std::io::{self, Write};

use rhobasis::Result;
use rhobasis::label_check::{Finding, LabelReport, check_against, check_labels};
use rhobasis::potential::{Potential, Prediction};

use crate::failure::Outcome;
use crate::labelled::LabelledFrames;
use crate::text::plural;

/// Runs of frames that are named before the rest is counted.
const MOST_RUNS: usize = 8;

/// Checks labels by themselves. Those that would be refused are empty: `info` counts them.
pub fn of_data(data: &LabelledFrames, out: &mut dyn Write) -> Outcome {
    writeln!(out, "\nLABELS")?;
    write(&check_labels(&data.frames, &data.labels)?, data, out)?;
    Ok(())
}

/// The same for programs; `frames` are counted over all files.
pub fn json(data: &LabelledFrames) -> Result<serde_json::Value> {
    let report = check_labels(&data.frames, &data.labels)?;
    let finding = |f: &Finding| {
        serde_json::json!({
            "suspicion": f.suspicion,
            "sureness": f.sureness.words(),
            "evidence": f.evidence,
            "remedy": f.remedy,
            "frames": f.frames,
        })
    };
    let findings: Vec<_> = report.findings.iter().map(finding).collect();
    Ok(serde_json::json!({ "findings": findings, "tested": report.tested, "not_tested": report.untested }))
}

/// Checks the labels that a potential was trained on against its predictions; says nothing but that, if nothing is found.
pub fn after_fit(
    potential: &Potential,
    train: &LabelledFrames,
    predictions: Vec<Prediction>,
    out: &mut dyn Write,
) -> Result<()> {
    let report = check_against(potential, &train.frames, &train.labels, predictions)?;
    let written = match report.findings.is_empty() {
        true => {
            writeln!(out, "\nno fault found in the labels (by this potential; rhobasis info --labels looks further)")
        }
        false => writeln!(out, "\nLABELS").and_then(|()| write(&report, train, out)),
    };
    written.map_err(|e| rhobasis::Error::io("standard output", e))
}

fn write(report: &LabelReport, data: &LabelledFrames, out: &mut dyn Write) -> io::Result<()> {
    for finding in &report.findings {
        write_finding(finding, data, out)?;
    }
    if report.findings.is_empty() {
        writeln!(out, "  no fault found")?;
    }
    let lines = |what: &str, lines: &[String], out: &mut dyn Write| {
        lines.iter().try_for_each(|line| writeln!(out, "  {what:<14}{line}"))
    };
    lines("tested", &report.tested, out)?;
    lines("not tested", &report.untested, out)
}

fn write_finding(finding: &Finding, data: &LabelledFrames, out: &mut dyn Write) -> io::Result<()> {
    let Finding { suspicion, evidence, remedy, .. } = finding;
    writeln!(out, "  {:<14}{suspicion}", finding.sureness.words())?;
    writeln!(out, "  {:<14}{}", "", frames(&finding.frames, data))?;
    writeln!(out, "  {:<14}{evidence}", "")?;
    writeln!(out, "  {:<14}remedy: {remedy}", "")
}

/// `12 of 214 frames: 3, 5–9, 20 …`
fn frames(frames: &[usize], data: &LabelledFrames) -> String {
    let of = format!("{} of {}", plural(frames.len(), "frame"), data.len());
    if frames.len() == data.len() {
        return format!("all {}", plural(frames.len(), "frame"));
    }
    let in_file = |(file, frames): (String, Vec<usize>)| {
        let runs = runs(&frames);
        let named = runs.iter().take(MOST_RUNS).map(|&(a, b)| if a == b { a.to_string() } else { format!("{a}–{b}") });
        let rest: usize = runs.iter().skip(MOST_RUNS).map(|(a, b)| b - a + 1).sum();
        let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        let file = if file.is_empty() { file } else { format!("{file} ") };
        format!("{file}{}{more}", named.collect::<Vec<_>>().join(", "))
    };
    let files: Vec<String> = data.places(frames).into_iter().map(in_file).collect();
    format!("{of}: {}", files.join("; "))
}

/// Numbers that follow each other, first and last.
fn runs(numbers: &[usize]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &k in numbers {
        match runs.last_mut().filter(|(_, last)| *last + 1 == k) {
            Some((_, last)) => *last = k,
            None => runs.push((k, k)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_follow_each_other_are_one_run() {
        assert_eq!(runs(&[0, 1, 2, 5, 7, 8]), [(0, 2), (5, 5), (7, 8)]);
        assert!(runs(&[]).is_empty());
    }
}

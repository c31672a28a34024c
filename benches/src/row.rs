//! A budget and its measurement.
//!
//! Ours and the baseline run in turns, many short rounds, and the median of the rounds counts: whatever else the machine
//! does then disturbs both alike.

use std::fmt::Write;
use std::time::{Duration, Instant};

use serde::Serialize;

/// Rounds of what takes milliseconds.
pub(crate) const MANY: usize = 31;
/// Rounds of what takes seconds.
pub(crate) const FEW: usize = 5;

/// What ratio of ours to the baseline is within the budget.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Budget {
    /// Our throughput is at least this part of the baseline's.
    ThroughputAtLeast(f64),
    /// Our time is at most this multiple of the baseline's.
    TimeAtMost(f64),
    /// Only to know.
    None,
}

/// One line of the table.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    name: &'static str,
    figure: f64,
    unit: &'static str,
    baseline: f64,
    baseline_is: &'static str,
    ratio: f64,
    budget: String,
    met: Option<bool>,
}

impl Row {
    /// A figure that has a limit of its own and no baseline.
    pub(crate) fn limited(name: &'static str, unit: &'static str, figure: f64, limit: f64) -> Self {
        let (budget, met) = (format!("< {limit}"), Some(figure < limit));
        Self {
            name,
            figure,
            unit,
            baseline: limit,
            baseline_is: "the limit",
            ratio: figure / limit,
            budget,
            met,
        }
    }

    /// Measures both sides; each call does `work` units of work.
    #[expect(clippy::too_many_arguments, reason = "a row has this many columns")]
    pub(crate) fn measure(
        name: &'static str,
        unit: &'static str,
        work: f64,
        budget: Budget,
        rounds: usize,
        baseline_is: &'static str,
        mut ours: impl FnMut(),
        mut baseline: impl FnMut(),
    ) -> Self {
        ours();
        baseline();
        let (mut our_times, mut baseline_times) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            our_times.push(time(&mut ours));
            baseline_times.push(time(&mut baseline));
        }
        let (ours, baseline) = (median(our_times), median(baseline_times));
        let time_ratio = ours / baseline;
        let (ratio, budget, met) = match budget {
            Budget::ThroughputAtLeast(least) => {
                (1.0 / time_ratio, format!(">= {:.0} %", least * 100.0), Some(1.0 / time_ratio >= least))
            }
            Budget::TimeAtMost(most) => (time_ratio, format!("<= {most} x"), Some(time_ratio <= most)),
            Budget::None => (1.0 / time_ratio, String::new(), None),
        };
        Self { name, figure: work / ours, unit, baseline: work / baseline, baseline_is, ratio, budget, met }
    }

    /// Our side.
    pub(crate) fn figure(&self) -> f64 {
        self.figure
    }

    /// All rows as text.
    pub(crate) fn table(rows: &[Self]) -> String {
        let mut out = format!(
            "{:<34} {:>12} {:>12} {:<10} {:>6}  {:<9} {:<4} {}\n",
            "what", "ours", "baseline", "unit", "ratio", "budget", "met", "baseline is"
        );
        for row in rows {
            let met = row.met.map_or("", |met| if met { "yes" } else { "NO" });
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "{:<34} {:>12} {:>12} {:<10} {:>6.2}  {:<9} {:<4} {}",
                row.name,
                digits(row.figure),
                digits(row.baseline),
                row.unit,
                row.ratio,
                row.budget,
                met,
                row.baseline_is
            );
        }
        out
    }
}

/// As many digits as say something.
fn digits(figure: f64) -> String {
    if figure < 10.0 { format!("{figure:.2}") } else { format!("{figure:.0}") }
}

fn time(work: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

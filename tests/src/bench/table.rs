//! The table that the bench prints: each row a ratio taken in one run, beside its goal.

/// One measured figure.
#[derive(Debug)]
pub struct Row {
    /// What was measured against what.
    pub what: String,
    /// The figures behind the ratio.
    pub figures: String,
    /// The ratio or figure that the goal is about.
    pub value: f64,
    /// How it is written.
    pub unit: &'static str,
    /// The goal.
    pub goal: Goal,
}

/// What a figure should be.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// This much or less.
    AtMost(f64),
    /// This much or more.
    AtLeast(f64),
    /// Shown for comparison only.
    None,
}

impl Row {
    /// Whether the goal is met.
    pub fn holds(&self) -> bool {
        match self.goal {
            Goal::AtMost(goal) => self.value <= goal,
            Goal::AtLeast(goal) => self.value >= goal,
            Goal::None => true,
        }
    }
}

/// Print as a Markdown table, so that it can go into docs/performance.md as it is.
pub fn print(rows: &[Row]) {
    println!("| what | value | goal | met | figures |");
    println!("|---|---:|---:|---|---|");
    for row in rows {
        let goal = match row.goal {
            Goal::AtMost(goal) => format!("≤ {}{}", number(goal), row.unit),
            Goal::AtLeast(goal) => format!("≥ {}{}", number(goal), row.unit),
            Goal::None => "–".to_owned(),
        };
        let met = match row.goal {
            Goal::None => "–",
            _ if row.holds() => "yes",
            _ => "no",
        };
        println!("| {} | {}{} | {goal} | {met} | {} |", row.what, number(row.value), row.unit, row.figures);
    }
}

fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The middle of several figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

//! The report of a training on the terminal.
//!
//! Owns its tables and how numbers are written.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};
use swipeline_models::rank::Objective;
use swipeline_models::train::off_policy::Interval;

use super::ranker::{ModelRow, PolicyRow, Trained};

/// One row per objective, and for each model AUC and log loss over the held-out part.
pub(crate) fn prediction_table(trained: &Trained) -> Table {
    let mut table = new_table();
    let mut heads = vec!["objective".to_owned(), "samples".to_owned(), "rate".to_owned()];
    heads.extend(trained.models.iter().map(|row| format!("AUC\n{}", row.model)));
    heads.extend(trained.models.iter().map(|row| format!("log loss\n{}", row.model)));
    table.set_header(heads);
    for objective in Objective::ALL {
        let of = |row: &ModelRow| row.objectives[objective.index()];
        let Some(first) = trained.models.first().map(of) else {
            continue;
        };
        let mut cells = vec![
            Cell::new(objective.name()),
            number(first.samples.to_string()),
            number(format!("{:.4}", first.rate)),
        ];
        cells.extend(trained.models.iter().map(|row| optional(of(row).auc)));
        cells.extend(trained.models.iter().map(|row| optional(of(row).log_loss)));
        table.add_row(cells);
    }
    table
}

/// Fewer draws of chance than this give intervals that mean nothing.
pub(crate) const DRAWS_MIN: usize = 50;

/// How many draws of chance the held-out part holds.
pub(crate) fn draws_of_chance(trained: &Trained) -> usize {
    let draws = trained.policies.iter().filter_map(|row| Some(row.estimate?.draws));
    draws.max().unwrap_or(0)
}

/// What each ranking would have earned in the objectives with at least [`DRAWS_MIN`] draws; `None` when there are none.
pub(crate) fn policy_table(trained: &Trained) -> Option<Table> {
    let mut table = new_table();
    table.set_header([
        "objective",
        "draws kept by",
        "SNIPS (95 %)",
        "IPS (95 %)",
        "draws",
        "effective",
        "clipped",
    ]);
    let known = trained.policies.iter().filter_map(|row| Some((row, row.estimate?)));
    let known = known.filter(|(_, estimate)| estimate.draws >= DRAWS_MIN);
    for (PolicyRow { ranking, objective, .. }, estimate) in known {
        table.add_row([
            Cell::new(objective.name()),
            Cell::new(ranking),
            number(interval(estimate.snips)),
            number(interval(estimate.ips)),
            number(estimate.draws.to_string()),
            number(format!("{:.0}", estimate.effective_sample_size)),
            number(estimate.clipped.to_string()),
        ]);
    }
    (!table.is_empty()).then_some(table)
}

/// For which objectives the new model is better, in words. Better is: a lower log loss than the bundled model and the
/// base rate, and no lower AUC than the bundled one, for it is the order that makes a feed.
pub(crate) fn verdict(trained: &Trained) -> String {
    let find = |name: &str| trained.models.iter().find(|row| row.model == name);
    let (Some(new), Some(bundled), Some(base)) = (find("new"), find("bundled"), find("base rate")) else {
        return String::new();
    };
    let is_better = |objective: &Objective| {
        let of = |row: &ModelRow| row.objectives[objective.index()];
        let (new, bundled, base) = (of(new), of(bundled), of(base));
        let loss_is_lower = new.log_loss.is_some() && new.log_loss < bundled.log_loss && new.log_loss < base.log_loss;
        loss_is_lower && new.auc >= bundled.auc
    };
    let (better, other): (Vec<Objective>, Vec<Objective>) = Objective::ALL.into_iter().partition(is_better);
    let names = |objectives: &[Objective]| objectives.iter().map(|one| one.name()).collect::<Vec<_>>().join(", ");
    match (better.is_empty(), other.is_empty()) {
        (_, true) => "Better than the bundled model in every objective.".to_owned(),
        (true, _) => "Better than the bundled model in no objective: log more before you serve it.".to_owned(),
        (false, false) => format!(
            "Better than the bundled model (order no worse, log loss below it and the base rate): {}. Not so: {}.",
            names(&better),
            names(&other)
        ),
    }
}

fn new_table() -> Table {
    let mut table = Table::new();
    table
        .load_preset(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn number(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn optional(value: Option<f64>) -> Cell {
    number(value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}")))
}

fn interval(Interval { value, low, high }: Interval) -> String {
    format!("{value:.4} ({low:.4} to {high:.4})")
}

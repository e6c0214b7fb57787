//! The table on the terminal.
//!
//! Owns its columns and how numbers are written. A cell is the value and, below it, half the width of its interval.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};

use super::metrics::RANK_METRICS;
use super::shown::OUTCOME_NAMES;
use super::summary::{Measured, Report, Row};

/// The families of metrics of an impression, in the order in which a cell names them.
const SHOWN_FAMILIES: [&str; 4] = ["auc", "logloss", "gauc", "gauc_frozen"];

/// A column: its head and the metrics in its cells.
struct Column {
    head: String,
    metrics: Vec<String>,
}

/// The table of all methods over all cases.
pub(crate) fn main_table(report: &Report) -> Table {
    let columns = columns(report);
    let has_lists = report.rows.iter().any(|row| row.lists.is_some());
    let mut table = new_table();
    let mut heads = vec!["method".to_owned()];
    heads.extend(columns.iter().map(|column| column.head.clone()));
    if has_lists {
        heads.extend(["coverage@10", "novelty@10\n(bits)", "diversity@10", "repeats"].map(str::to_owned));
    }
    heads.push("CPU µs/request\nmean (median)".to_owned());
    table.set_header(heads);
    for row in &report.rows {
        let mut cells = vec![Cell::new(&row.method)];
        cells.extend(columns.iter().map(|column| cell(&row.measured, column)));
        if has_lists {
            cells.extend(list_cells(row));
        }
        cells.push(number(format!(
            "{:.1} ({:.1})",
            row.cpu_us_per_request, row.cpu_us_median
        )));
        table.add_row(cells);
    }
    table
}

/// The table of slices, method by method.
pub(crate) fn slice_table(report: &Report) -> Table {
    let columns = columns(report);
    let mut table = new_table();
    let mut heads = vec!["method".to_owned(), "slice".to_owned(), "cases".to_owned()];
    heads.extend(columns.iter().map(|column| column.head.clone()));
    table.set_header(heads);
    for row in &report.rows {
        for slice in &row.slices {
            let mut cells = vec![
                Cell::new(&row.method),
                Cell::new(&slice.slice),
                number(slice.cases.to_string()),
            ];
            cells.extend(columns.iter().map(|column| cell(&slice.measured, column)));
            table.add_row(cells);
        }
    }
    table
}

fn new_table() -> Table {
    let mut table = Table::new();
    table
        .load_preset(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn columns(report: &Report) -> Vec<Column> {
    let measures_lists = report.rows.iter().any(|row| row.lists.is_some());
    if measures_lists {
        let single = RANK_METRICS.map(|name| Column {
            head: name.to_uppercase(),
            metrics: vec![name.to_owned()],
        });
        return single.into();
    }
    let of_outcome = OUTCOME_NAMES.map(|outcome| Column {
        head: format!("{outcome}\nAUC / log loss / GAUC / GAUC frozen"),
        metrics: SHOWN_FAMILIES
            .iter()
            .map(|family| format!("{family}.{outcome}"))
            .collect(),
    });
    of_outcome.into()
}

fn cell(measured: &Measured, column: &Column) -> Cell {
    let values = column.metrics.iter().map(|name| match measured.metrics.get(name) {
        Some(value) => format!("{value:.4}"),
        None => "-".to_owned(),
    });
    let halves = column.metrics.iter().map(|name| match measured.intervals.get(name) {
        Some([low, high]) => format!("±{:.4}", (high - low) / 2.0),
        None => "-".to_owned(),
    });
    let join = |parts: Vec<String>| parts.join(" / ");
    number(format!("{}\n{}", join(values.collect()), join(halves.collect())))
}

fn list_cells(row: &Row) -> Vec<Cell> {
    let Some(lists) = &row.lists else {
        return ["-"; 4].map(Cell::new).into();
    };
    let diversity = lists
        .diversity
        .map_or("-".to_owned(), |diversity| format!("{diversity:.3}"));
    let texts = [
        format!("{:.3}", lists.coverage),
        format!("{:.2}", lists.novelty),
        diversity,
        lists.repeats.to_string(),
    ];
    texts.map(number).into()
}

fn number(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

//! The items of MovieLens beside its ratings: titles, genres, years.
//!
//! Owns where they are looked for. The files themselves are read as `import` reads them.

use std::path::{Path, PathBuf};

use super::{Ids, ReadError, at_fault};
use crate::eval::log::ItemFacts;
use crate::transfer::{BytesRead, Entity, Format, InputFile, Reading, Record, open};
use swipeline_models::time::TimestampMs;

/// The facts of every item in `names`, from the item file beside `ratings`; empty where there is none.
///
/// # Errors
/// There is one, but it cannot be read.
pub(super) fn beside(ratings: &Path, names: &Ids) -> Result<Vec<ItemFacts>, ReadError> {
    let Some(path) = item_file(ratings) else {
        return Ok(Vec::new());
    };
    let mut facts = vec![ItemFacts::default(); names.ids.len()];
    let input = InputFile::Path(path.clone());
    let rows = open(
        &input,
        Entity::Items,
        Format::Movielens,
        &Reading::exact(TimestampMs(0)),
        &BytesRead::default(),
    )?;
    for row in rows {
        let row = row.map_err(|fault| at_fault(&path, &fault))?;
        let Record::Item(item) = row.record else { continue };
        if let Some(number) = names.get(item.id.as_str()) {
            facts[number as usize] = ItemFacts {
                title: item.title.clone(),
                author: None,
                categories: item.categories.iter().map(ToString::to_string).collect(),
                duration_ms: None,
                created_at_ms: Some(item.created_at.0).filter(|at_ms| *at_ms > 0),
            };
        }
    }
    Ok(facts)
}

/// `ml-100k.item` beside `ml-100k.inter`, `u.item` beside `u.data`, and so on, plain or gzip.
fn item_file(ratings: &Path) -> Option<PathBuf> {
    let name = ratings.file_name()?.to_str()?;
    let name = name.strip_suffix(".gz").unwrap_or(name);
    let wanted = match name {
        "u.data" => "u.item".to_owned(),
        "ratings.dat" => "movies.dat".to_owned(),
        "ratings.csv" => "movies.csv".to_owned(),
        _ => format!("{}.item", name.strip_suffix(".inter")?),
    };
    let zipped = format!("{wanted}.gz");
    [wanted, zipped]
        .iter()
        .map(|candidate| ratings.with_file_name(candidate))
        .find(|path| path.is_file())
}

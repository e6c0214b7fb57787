//! The settings of the graph and the reasons why one cannot be made.
//!
//! Owns the ranges of the settings. Must not know how a graph works.

use thiserror::Error;

/// Build and search settings of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HnswParams {
    /// Links of a point in each upper layer; twice as many in the lowest. 2 to 128.
    pub m: usize,
    /// Width of the beam while inserting, `m` to 4 096.
    pub ef_construction: usize,
    /// Width of the beam while searching, at most 4 096; the beam is never narrower than 1.5 × `k`.
    pub ef_search: usize,
}

impl Default for HnswParams {
    /// Measured at 100 000 × 64 with k = 100: recall 1.0 on a hundred items a cluster, 0.977 on data that is almost even in
    /// all directions, the hardest for a graph (m 16, ef_construction 100, ef_search 256: 0.868 there).
    fn default() -> Self {
        Self {
            m: 16,
            ef_construction: 100,
            ef_search: 256,
        }
    }
}

/// Why a graph could not be made or brought up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HnswError {
    /// A setting is outside its range.
    #[error("the graph setting {name} = {value} is not between {min} and {max}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// Its value.
        value: usize,
        /// Smallest accepted value.
        min: usize,
        /// Largest accepted value.
        max: usize,
    },
    /// The snapshot to follow has vectors of another dimension.
    #[error("the snapshot has {found} components, the graph has {expected}")]
    WrongDimension {
        /// Components of the graph's points.
        expected: usize,
        /// Components of the snapshot's vectors.
        found: usize,
    },
    /// A loaded graph lacks so many rows that building it anew is the better way.
    #[error("the loaded graph lacks {missing} of {rows} rows and is to be built anew")]
    TooFarBehind {
        /// Rows that are not in the graph with their present vector.
        missing: usize,
        /// Live rows.
        rows: usize,
    },
}

impl HnswParams {
    /// Checks every setting against its range. hnsw_rs ends the process on some values, so none passes unchecked.
    ///
    /// # Errors
    /// [`HnswError::Setting`] names the first one that is out of range.
    pub fn validate(&self) -> Result<(), HnswError> {
        let ranges = [
            ("m", self.m, 2, 128),
            ("ef_construction", self.ef_construction, self.m, 4_096),
            ("ef_search", self.ef_search, 1, 4_096),
        ];
        for (name, value, min, max) in ranges {
            if !(min..=max).contains(&value) {
                return Err(HnswError::Setting { name, value, min, max });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_would_end_the_process_are_refused() {
        let check = |params: HnswParams, name: &str| match params.validate() {
            Err(HnswError::Setting { name: found, .. }) => assert_eq!(found, name),
            other => panic!("{params:?} gave {other:?}"),
        };
        let fine = HnswParams::default();
        check(HnswParams { m: 257, ..fine }, "m");
        check(HnswParams { m: 1, ..fine }, "m");
        check(
            HnswParams {
                ef_construction: 3,
                ..fine
            },
            "ef_construction",
        );
        check(HnswParams { ef_search: 0, ..fine }, "ef_search");
        assert_eq!(fine.validate(), Ok(()));
    }
}

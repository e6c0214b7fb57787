//! Names as small numbers, so that a cell's key is a few bytes.

use std::sync::Arc;

use rustc_hash::FxHashMap;

/// A name's number.
pub type Code = u16;

/// Stands for no name: no category, no region, in no experiment.
pub const NO_NAME: Code = 0;
/// Stands for names that were given up to bound memory.
pub const OTHER_NAME: Code = Code::MAX;
/// The most names of one kind.
const NAMES_MAX: usize = 4_096;

/// A growing, bounded list of names.
#[derive(Debug, Clone)]
pub struct Names {
    codes: FxHashMap<Arc<str>, Code>,
    names: Vec<Arc<str>>,
}

impl Names {
    /// A list in which `none` is the name of [`NO_NAME`].
    #[must_use]
    pub fn new(none: &str) -> Self {
        let none: Arc<str> = Arc::from(none);
        Self {
            codes: [(none.clone(), NO_NAME)].into_iter().collect(),
            names: vec![none],
        }
    }

    /// The number of a name, given to it now if it is new; [`OTHER_NAME`] when the list is full.
    pub fn intern(&mut self, name: &str) -> Code {
        if let Some(code) = self.codes.get(name) {
            return *code;
        }
        match Code::try_from(self.names.len()) {
            Ok(code) if self.names.len() < NAMES_MAX => {
                let name: Arc<str> = Arc::from(name);
                self.names.push(name.clone());
                self.codes.insert(name, code);
                code
            }
            Ok(_) | Err(_) => OTHER_NAME,
        }
    }

    /// The number of a known name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Code> {
        if name == "other" {
            Some(OTHER_NAME)
        } else {
            self.codes.get(name).copied()
        }
    }

    /// The name of a number.
    #[must_use]
    pub fn name(&self, code: Code) -> &str {
        self.names.get(usize::from(code)).map_or("other", |name| name)
    }

    /// All names in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded() {
        let mut names = Names::new("none");
        assert_eq!(
            (names.intern("none"), names.intern("pets"), names.intern("pets")),
            (NO_NAME, 1, 1)
        );
        (0..10_000).for_each(|number| {
            names.intern(&number.to_string());
        });
        assert_eq!(
            (names.iter().count(), names.intern("late"), names.name(OTHER_NAME)),
            (NAMES_MAX, OTHER_NAME, "other")
        );
        assert_eq!(
            (names.name(1), names.get("pets"), names.get("late")),
            ("pets", Some(1), None)
        );
    }
}

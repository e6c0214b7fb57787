//! The manifest of a graph's dump: what the files are and what they must look like.
//!
//! Owns its text form, one value a line with a checksum in the last. Must not touch files.

use xxhash_rust::xxh3::xxh3_64;

/// First line; the number is the version of manifest and files together.
const FORMAT: &str = "swipeline-graph 1";

/// What hnsw_rs appends to the name that it is given.
pub(super) const SUFFIXES: [&str; 2] = ["hnsw.graph", "hnsw.data"];

/// Names of the plain numbers, in the order in which they are written.
const NUMBERS: [&str; 5] = ["dimension", "points", "built_points", "m", "ef_construction"];

/// What the manifest says, besides checksums.
#[derive(Debug, PartialEq)]
pub(super) struct Manifest {
    pub(super) generation: u64,
    pub(super) dimension: usize,
    pub(super) points: usize,
    pub(super) built_points: usize,
    pub(super) m: usize,
    pub(super) ef_construction: usize,
    pub(super) stranded: Vec<u32>,
    /// Length and checksum of the files, in the order of [`SUFFIXES`].
    pub(super) files: [(u64, u64); 2],
}

impl Manifest {
    /// One value a line in a fixed order, the checksum of all that precedes in the last.
    pub(super) fn to_text(&self) -> String {
        let mut text = format!("{FORMAT}\n");
        let numbers = [
            self.dimension,
            self.points,
            self.built_points,
            self.m,
            self.ef_construction,
        ];
        text += &format!("generation {}\n", self.generation);
        for (name, number) in NUMBERS.iter().zip(numbers) {
            text += &format!("{name} {number}\n");
        }
        for ((length, checksum), suffix) in self.files.iter().zip(SUFFIXES) {
            text += &format!("{suffix} {length} {checksum:016x}\n");
        }
        let stranded: Vec<String> = self.stranded.iter().map(u32::to_string).collect();
        text += &format!("stranded {}\n", stranded.join(","));
        text += &format!("checksum {:016x}\n", xxh3_64(text.as_bytes()));
        text
    }

    /// Reads the text back; the error says what is wrong with it.
    pub(super) fn from_text(text: &str) -> Result<Self, &'static str> {
        let content_len = text.rfind("checksum ").ok_or("it is cut off")?;
        let (content, checksum) = text.split_at(content_len);
        if checksum != format!("checksum {:016x}\n", xxh3_64(content.as_bytes())) {
            return Err("its checksum does not match");
        }
        let mut lines = content.lines();
        if lines.next() != Some(FORMAT) {
            return Err("it is of another version");
        }
        let mut value_of = |name: &str| {
            let line = lines.next().and_then(|line| line.split_once(' '));
            line.filter(|(found, _)| *found == name)
                .map(|(_, value)| value)
                .ok_or("a line is missing")
        };
        let generation = value_of("generation")?.parse().map_err(|_| "a number is malformed")?;
        let mut numbers = [0; NUMBERS.len()];
        for (number, name) in numbers.iter_mut().zip(NUMBERS) {
            *number = value_of(name)?.parse().map_err(|_| "a number is malformed")?;
        }
        let mut files = [(0, 0); 2];
        for (file, suffix) in files.iter_mut().zip(SUFFIXES) {
            let (length, checksum) = value_of(suffix)?.split_once(' ').ok_or("a file is malformed")?;
            let length = length.parse().map_err(|_| "a length is malformed")?;
            *file = (
                length,
                u64::from_str_radix(checksum, 16).map_err(|_| "a checksum is malformed")?,
            );
        }
        let stranded = value_of("stranded")?;
        let rows = stranded
            .split(',')
            .filter(|row| !row.is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>();
        let [dimension, points, built_points, m, ef_construction] = numbers;
        let stranded = rows.map_err(|_| "a row is malformed")?;
        Ok(Self {
            generation,
            dimension,
            points,
            built_points,
            m,
            ef_construction,
            stranded,
            files,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_survives_its_text_and_names_what_is_wrong() {
        let manifest = Manifest {
            generation: 7,
            dimension: 64,
            points: 10,
            built_points: 9,
            m: 16,
            ef_construction: 100,
            stranded: vec![3, 5],
            files: [(1, u64::MAX), (2, 0)],
        };
        let text = manifest.to_text();
        assert_eq!(Manifest::from_text(&text).as_ref(), Ok(&manifest));
        assert_eq!(Manifest::from_text(&text[..30]), Err("it is cut off"));
        assert_eq!(
            Manifest::from_text(&text.replace("points 10", "points 11")),
            Err("its checksum does not match")
        );
    }
}

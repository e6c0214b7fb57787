//! Lines of bounded length out of any byte stream.
//!
//! Owns line numbers, line ends, the byte-order mark and the bound. Must not know what a line means.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::BufRead;

use super::{Fault, Problem};

/// The longest line that is read; a longer one is skipped and reported. As much as a REST body may have.
pub(crate) const LINE_BYTES_MAX: usize = 8 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A line with its number, or what was wrong with it.
pub(crate) type GivenBack = Result<(u64, Vec<u8>), Fault>;

/// A reader of lines that holds one line at a time (and what was given back to it).
pub(crate) struct Lines {
    input: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    number: u64,
    numbers_read: u64,
    /// Whether the last line ended with a carriage return, so that a line feed right behind it belongs to it.
    after_return: bool,
    /// Whether the line that was read last has its end.
    is_ended: bool,
    given_back: VecDeque<GivenBack>,
}

impl Lines {
    /// Reads lines from `input`.
    pub(crate) fn new(input: Box<dyn BufRead + Send>) -> Self {
        Self {
            input,
            line: Vec::new(),
            number: 0,
            numbers_read: 0,
            after_return: false,
            is_ended: false,
            given_back: VecDeque::new(),
        }
    }

    /// Goes to the next line and returns its number, from 1; `None` at the end.
    pub(crate) fn advance(&mut self) -> Option<Result<u64, Fault>> {
        if let Some(given_back) = self.given_back.pop_front() {
            return Some(given_back.map(|(number, line)| {
                self.number = number;
                self.line = line;
                number
            }));
        }
        self.line.clear();
        match self.read_line() {
            Ok(true) => Some(self.finish_line()),
            Ok(false) => None,
            Err(source) => Some(Err(Fault::Broken {
                line: self.numbers_read,
                source,
            })),
        }
    }

    /// Reads up to the next line end, which is `\n`, `\r\n` or (old Macs) `\r`, but not more than one byte over the
    /// bound; returns whether there was anything.
    fn read_line(&mut self) -> std::io::Result<bool> {
        self.is_ended = false;
        let mut has_read = false;
        loop {
            let available = match self.input.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                return Ok(has_read);
            }
            if std::mem::take(&mut self.after_return) && available[0] == b'\n' {
                self.input.consume(1);
                continue;
            }
            has_read = true;
            let room = LINE_BYTES_MAX + 1 - self.line.len();
            let looked_at = &available[..available.len().min(room)];
            if let Some(end) = looked_at.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
                self.after_return = looked_at[end] == b'\r';
                self.line.extend_from_slice(&looked_at[..end]);
                self.input.consume(end + 1);
                self.is_ended = true;
                return Ok(true);
            }
            let count = looked_at.len();
            self.line.extend_from_slice(looked_at);
            self.input.consume(count);
            if self.line.len() > LINE_BYTES_MAX {
                return Ok(true);
            }
        }
    }

    /// Goes to the next line that is not blank.
    pub(crate) fn advance_past_blank(&mut self) -> Option<Result<u64, Fault>> {
        loop {
            match self.advance()? {
                Ok(_) if self.line.iter().all(u8::is_ascii_whitespace) => {}
                outcome => return Some(outcome),
            }
        }
    }

    /// The present line without its end.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.line
    }

    /// The present line as UTF-8.
    pub(crate) fn text(&self) -> Result<&str, Problem> {
        std::str::from_utf8(&self.line).map_err(|error| {
            Problem::new(
                "not_utf8",
                format!("is not UTF-8 (from byte {} of the line on)", error.valid_up_to()),
            )
        })
    }

    /// The present line as UTF-8 or, where it is not, as Latin-1 (old MovieLens files).
    pub(crate) fn text_or_latin1(&self) -> Cow<'_, str> {
        match std::str::from_utf8(&self.line) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => Cow::Owned(self.line.iter().copied().map(char::from).collect()),
        }
    }

    /// Gives the present line back: the next `advance` returns it again.
    pub(crate) fn give_back(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.given_back.push_front(Ok((self.number, line)));
    }

    /// Gives lines back, in their order, before all others.
    pub(crate) fn give_back_all(&mut self, lines: Vec<GivenBack>) {
        for line in lines.into_iter().rev() {
            self.given_back.push_front(line);
        }
    }

    fn finish_line(&mut self) -> Result<u64, Fault> {
        self.numbers_read += 1;
        self.number = self.numbers_read;
        // Also in the middle of a file: files are joined with `cat`.
        if self.line.starts_with(BYTE_ORDER_MARK) {
            self.line.drain(..BYTE_ORDER_MARK.len());
        }
        if self.line.len() <= LINE_BYTES_MAX {
            return Ok(self.number);
        }
        self.line = Vec::new();
        let number = self.number;
        while !self.is_ended {
            self.line.clear();
            let has_read = self
                .read_line()
                .map_err(|source| Fault::Broken { line: number, source })?;
            if !has_read {
                break;
            }
        }
        self.line = Vec::new();
        Err(Problem::new("line_too_long", format!("is longer than {LINE_BYTES_MAX} bytes")).at(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: Vec<u8>) -> Lines {
        Lines::new(Box::new(std::io::Cursor::new(bytes)))
    }

    fn collect(mut lines: Lines) -> Vec<Result<(u64, String), String>> {
        let mut collected = Vec::new();
        while let Some(outcome) = lines.advance() {
            collected.push(match outcome {
                Ok(number) => Ok((number, lines.text_or_latin1().into_owned())),
                Err(fault) => Err(fault.to_string()),
            });
        }
        collected
    }

    #[test]
    fn line_ends_and_the_byte_order_mark_are_taken_off() {
        let read = collect(lines(b"\xef\xbb\xbfa\r\nb\n\nlast".to_vec()));
        let expected = [(1, "a"), (2, "b"), (3, ""), (4, "last")].map(|(number, text)| Ok((number, text.to_owned())));
        assert_eq!(read, expected);
    }

    #[test]
    fn lines_of_old_macs_are_lines() {
        let expect = |bytes: &[u8], lines: &[&str]| {
            let expected: Vec<_> = (1..)
                .zip(lines)
                .map(|(number, text)| Ok((number, (*text).to_owned())))
                .collect();
            assert_eq!(collect(self::lines(bytes.to_vec())), expected, "{bytes:?}");
        };
        expect(b"a\rb\r", &["a", "b"]);
        expect(b"a\nb\rc\r\nd", &["a", "b", "c", "d"]);
        expect(b"a\r\rb\n\r\n", &["a", "", "b", ""]);
        expect(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", &["a", "b"]);
    }

    #[test]
    fn a_line_over_the_limit_is_reported_and_the_next_one_is_read() {
        let mut bytes = b"one\n".to_vec();
        bytes.extend(std::iter::repeat_n(b'x', LINE_BYTES_MAX + 10));
        bytes.extend_from_slice(b"\nthree\n");
        let read = collect(lines(bytes));
        assert_eq!(read.len(), 3);
        assert!(
            read[1]
                .as_ref()
                .is_err_and(|text| text.contains("line 2") && text.contains("line_too_long"))
        );
        assert_eq!(read[2], Ok((3, "three".to_owned())));
    }

    #[test]
    fn bytes_that_are_not_utf8_read_as_latin1() {
        assert_eq!(collect(lines(b"caf\xe9\n".to_vec())), vec![Ok((1, "café".to_owned()))]);
    }
}

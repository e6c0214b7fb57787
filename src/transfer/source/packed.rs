//! Taking gzip and zstd off a stream, whatever the file is called.
//!
//! Owns what a stream of gzip members may look like. Must not know where the bytes come from.

use std::io::{BufRead, BufReader, Cursor, Error, ErrorKind, Read, Result};

use flate2::bufread::GzDecoder;

/// The first bytes of every gzip member (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The first bytes of every zstd frame (RFC 8878).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The first bytes of every zip archive.
pub(super) const ZIP_MAGIC: [u8; 4] = *b"PK\x03\x04";
/// The size of the buffer in front of an input.
const BUFFER_BYTES: usize = 64 * 1024;

/// A stream of bytes from anywhere.
pub(super) type Stream = Box<dyn BufRead + Send>;

/// The stream without its packing, if its first bytes show one.
pub(super) fn unpack(mut raw: Box<dyn Read + Send>) -> Result<Stream> {
    let mut head = Vec::with_capacity(ZSTD_MAGIC.len());
    // A pipe may give its bytes one by one: `take` reads until all are there. Two are waited for and then two more,
    // because a line of two bytes is possible and one of four may never come.
    raw.as_mut().take(2).read_to_end(&mut head)?;
    let may_be_long = head == ZSTD_MAGIC[..2] || head == ZIP_MAGIC[..2];
    if may_be_long {
        raw.as_mut().take(2).read_to_end(&mut head)?;
    }
    let is_zip = head == ZIP_MAGIC;
    let (is_gzip, is_zstd) = (head == GZIP_MAGIC, head == ZSTD_MAGIC);
    let whole: Stream = Box::new(BufReader::with_capacity(BUFFER_BYTES, Cursor::new(head).chain(raw)));
    if is_zip {
        let why =
            "is a zip archive, which is read from its end: it cannot come from standard input or lie in an archive";
        return Err(Error::new(ErrorKind::InvalidData, why));
    }
    if is_gzip {
        let members = GzipMembers::Between(whole);
        return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, members)));
    }
    if is_zstd {
        let frames = zstd::stream::read::Decoder::with_buffer(whole)?;
        return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, frames)));
    }
    Ok(whole)
}

/// gzip members one behind the other, with zeros between and behind them: tapes, object stores and block devices pad.
enum GzipMembers {
    /// In front of a member, of zeros, or of the end.
    Between(Stream),
    /// In a member.
    Inside(Box<GzDecoder<Stream>>),
    /// An error was handed out.
    Done,
}

impl Read for GzipMembers {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(self, GzipMembers::Done) {
                GzipMembers::Done => return Ok(0),
                GzipMembers::Between(mut packed) => match first_but_zeros(&mut packed)? {
                    None => return Ok(0),
                    Some(byte) if byte == GZIP_MAGIC[0] => {
                        *self = GzipMembers::Inside(Box::new(GzDecoder::new(packed)));
                    }
                    Some(_) => {
                        let why = "something that is no gzip stands behind a gzip member";
                        return Err(Error::new(ErrorKind::InvalidData, why));
                    }
                },
                GzipMembers::Inside(mut member) => match member.read(buffer)? {
                    0 => *self = GzipMembers::Between(member.into_inner()),
                    count => {
                        *self = GzipMembers::Inside(member);
                        return Ok(count);
                    }
                },
            }
        }
    }
}

/// Goes behind zeros; the byte that stands there, or `None` at the end.
fn first_but_zeros(packed: &mut Stream) -> Result<Option<u8>> {
    loop {
        let available = packed.fill_buf()?;
        match available.iter().position(|byte| *byte != 0) {
            Some(place) => {
                let byte = available[place];
                packed.consume(place);
                return Ok(Some(byte));
            }
            None if available.is_empty() => return Ok(None),
            None => {
                let count = available.len();
                packed.consume(count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).expect("zips");
        encoder.finish().expect("zips")
    }

    fn read(bytes: Vec<u8>) -> Result<String> {
        let mut text = String::new();
        unpack(Box::new(Cursor::new(bytes)))?.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn packing_is_seen_by_the_first_bytes() {
        assert_eq!(read(b"ab".to_vec()).expect("plain"), "ab");
        assert_eq!(read(b"P".to_vec()).expect("plain"), "P");
        assert_eq!(read(b"PK,1\n".to_vec()).expect("plain"), "PK,1\n");
        assert_eq!(read(gzip("text")).expect("gzip"), "text");
        let frames =
            [zstd::encode_all(&b"te"[..], 1), zstd::encode_all(&b"xt"[..], 1)].map(|frame| frame.expect("packs"));
        assert_eq!(read(frames.concat()).expect("zstd"), "text");
        assert!(read(b"PK\x03\x04....".to_vec()).is_err());
    }

    #[test]
    fn members_may_be_padded_with_zeros_but_not_with_anything_else() {
        let padded = [gzip("a"), vec![0; 100_000], gzip("b"), vec![0; 512]].concat();
        assert_eq!(read(padded).expect("both"), "ab");
        assert!(read([gzip("a"), b"junk".to_vec()].concat()).is_err());
        let torn = gzip(&"text ".repeat(1_000));
        assert!(read(torn[..torn.len() - 9].to_vec()).is_err());
    }
}

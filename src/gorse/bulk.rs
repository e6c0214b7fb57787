//! Whole collections as JSON lines: `GET` and `POST /bulk/{users,items,feedback}`.
//!
//! Owns the form field in which a file comes. Must not know what the lines mean to the engine.

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_DISPOSITION;
use serde::Serialize;
use serde::de::DeserializeOwned;
use swipeline_models::wire::UserDto;

use super::call::{Answer, Call, Refusal};
use super::feedback::shown;
use super::ledger::Again;
use super::shapes::{GorseItem, GorseUser, read};

/// So many feedbacks are looked at together.
const PAGE: usize = 10_000;

impl Call<'_> {
    /// `GET /bulk/{what}`.
    pub(super) async fn bulk_get(&self, what: &str) -> Answer {
        let mut lines = Vec::new();
        match what {
            "users" => {
                let mut take = |user: &swipeline_models::user::User| {
                    write_line(&mut lines, &GorseUser::of(&UserDto::from(user)));
                };
                self.engine.for_each_user(&mut take).await?;
            }
            "items" => self
                .engine
                .for_each_item(&mut |item| write_line(&mut lines, &GorseItem::of(item))),
            "feedback" => {
                let mut from = None;
                loop {
                    let (page, next) = self.ledger()?.page(from.as_ref(), None, PAGE, i64::MAX);
                    shown(page).iter().for_each(|feedback| write_line(&mut lines, feedback));
                    match next {
                        Some(key) => from = Some(key),
                        None => break,
                    }
                }
            }
            _ => return Err(Refusal::not_found("404: Page Not Found")),
        }
        let attachment = format!("attachment;filename={what}.jsonl");
        let mut answer = HttpResponse::Ok();
        answer.insert_header((CONTENT_DISPOSITION, attachment));
        Ok(answer.content_type("application/jsonl").body(lines))
    }

    /// `POST /bulk/{what}`: a form with the field `file`, or the lines themselves.
    pub(super) async fn bulk_post(&self, what: &str, content_type: &str) -> Answer {
        let file = match boundary_of(content_type) {
            Some(boundary) => {
                let found = field(self.body, boundary, "file");
                found.ok_or_else(|| Refusal::bad("http: no such file"))?
            }
            None => self.body,
        };
        match what {
            "users" => self.put_users(read_lines(file)?).await,
            "items" => {
                let items: Vec<GorseItem> = read_lines(file)?;
                if let Some(bad) = items
                    .iter()
                    .find(|item| item.item_id.is_empty() || item.item_id.contains('/'))
                {
                    return Err(Refusal::bad(format!("invalid item id `{}`", bad.item_id)));
                }
                self.put_items(items).await
            }
            "feedback" => self.give(&read_lines(file)?, Again::Replaces).await,
            _ => Err(Refusal::not_found("404: Page Not Found")),
        }
    }
}

fn write_line(lines: &mut Vec<u8>, row: &impl Serialize) {
    // Writing JSON into memory fails for maps with odd keys only; these have none.
    if serde_json::to_writer(&mut *lines, row).is_ok() {
        lines.push(b'\n');
    }
}

fn read_lines<T: DeserializeOwned>(file: &[u8]) -> Result<Vec<T>, Refusal> {
    let lines = file.split(|byte| *byte == b'\n').enumerate();
    let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    lines
        .map(|(place, line)| {
            let value = serde_json::from_slice(line).map_err(|error| error.to_string());
            value
                .and_then(read)
                .map_err(|detail| Refusal::bad(format!("failed to parse line {}: {detail}", place + 1)))
        })
        .collect()
}

fn boundary_of(content_type: &str) -> Option<&str> {
    let (kind, rest) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = rest.split(';').find_map(|part| part.trim().strip_prefix("boundary="))?;
    Some(boundary.trim_matches('"')).filter(|boundary| !boundary.is_empty())
}

/// The bytes of a form's field (RFC 7578).
fn field<'a>(body: &'a [u8], boundary: &str, name: &str) -> Option<&'a [u8]> {
    let mark = format!("--{boundary}");
    let wanted = format!("name=\"{name}\"");
    let mut rest = &body[find(body, mark.as_bytes())? + mark.len()..];
    loop {
        let head_end = find(rest, b"\r\n\r\n")?;
        let head = std::str::from_utf8(&rest[..head_end]).ok()?;
        let content = &rest[head_end + 4..];
        let end = find(content, format!("\r\n{mark}").as_bytes())?;
        if head.contains(&wanted) {
            return Some(&content[..end]);
        }
        rest = &content[end + 2 + mark.len()..];
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_in_a_form() {
        let content_type = "multipart/form-data; boundary=XyZ";
        let boundary = boundary_of(content_type).expect("a boundary");
        let body = b"--XyZ\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\n1\r\n--XyZ\r\n\
            Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\nContent-Type: x\r\n\r\n{}\n{}\n\r\n--XyZ--\r\n";
        assert_eq!(field(body, boundary, "file"), Some(&b"{}\n{}\n"[..]));
        assert_eq!(field(body, boundary, "none"), None);
        assert_eq!(boundary_of("application/json"), None);
        assert_eq!(field(b"--XyZ\r\n", boundary, "file"), None);
    }

    #[test]
    fn a_bad_line_is_named() {
        let refused = read_lines::<GorseUser>(b"{\"UserId\":\"u\"}\n\nno\n").expect_err("bad");
        assert!(refused.text.contains("line 3"), "{}", refused.text);
    }
}

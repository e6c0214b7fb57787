//! `/v1/admin/snapshots`: backups of the running server; `/v1/export`: what it holds, line by line.
//!
//! Owns how files and rows become streams. Nothing is held in memory as a whole: a reader that is slow makes the writer
//! wait.

use std::io::{self, BufWriter, Write};

use actix_web::http::Method;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde::Serialize;
use swipeline_actors::{BackupInfo, Engine, TimeRange};
use swipeline_models::wire::{ItemDto, UserDto};
use swipeline_storage::archive::ArchiveKind;

use super::admin::changed_by;
use super::endpoint::Endpoint;
use super::problem::{Problem, ProblemDto, ProblemKind};
use super::query::Query;
use super::reply::reply;
use crate::server::AppState;
use crate::transfer::{ArchivedRows, parse_time};

/// How much is sent at a time.
const CHUNK_BYTES: usize = 64 * 1024;
/// So many chunks wait for a slow reader; then the writer waits.
const CHUNKS_MAX: usize = 8;

/// A backup beside the data of the server.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(example = json!({"name": "snapshot-1760000000000", "created_at": 1_760_000_000_000_i64, "files": 12, "bytes": 4096}))]
pub(crate) struct SnapshotDto {
    /// Its name.
    name: String,
    /// When it was made, in milliseconds since 1970-01-01 UTC.
    created_at: i64,
    /// How many files it has.
    files: u64,
    /// Their bytes.
    bytes: u64,
}

/// The backups beside the data of the server.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct SnapshotsReply {
    /// The newest first.
    snapshots: Vec<SnapshotDto>,
}

impl From<BackupInfo> for SnapshotDto {
    fn from(backup: BackupInfo) -> Self {
        let BackupInfo {
            name,
            created_at,
            files,
            bytes,
        } = backup;
        Self {
            name,
            created_at,
            files,
            bytes,
        }
    }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/admin/snapshots", list_snapshots).on(Method::POST, create_snapshot),
        Endpoint::get("/v1/admin/snapshots/{name}", download_snapshot).on(Method::DELETE, delete_snapshot),
        Endpoint::get("/v1/admin/export/{kind}", export),
    ]
}

/// Make a backup of the running server
///
/// Beside its data, in `backups/`; read back before the answer. At most 16 are kept.
#[utoipa::path(post, path = "/v1/admin/snapshots", tag = "admin",
    responses(
        (status = 200, description = "The backup", body = SnapshotDto),
        (status = 409, description = "Too many backups, or nothing on disk", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn create_snapshot(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let made = state.engine()?.create_backup().await?;
    tracing::info!(
        by = changed_by(&request),
        name = made.name,
        bytes = made.bytes,
        "a backup was made"
    );
    reply(&request, &SnapshotDto::from(made))
}

/// The backups beside the data
#[utoipa::path(get, path = "/v1/admin/snapshots", tag = "admin",
    responses((status = 200, description = "The newest first", body = SnapshotsReply)))]
pub(crate) async fn list_snapshots(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let backups = state.engine()?.backups().await?;
    let snapshots = backups.into_iter().map(SnapshotDto::from).collect();
    reply(&request, &SnapshotsReply { snapshots })
}

/// Download a backup
///
/// A tar archive with one folder, which `swipeline snapshot verify` and `restore` take.
#[utoipa::path(get, path = "/v1/admin/snapshots/{name}", tag = "admin",
    params(("name" = String, Path, description = "The backup", example = "snapshot-1760000000000")),
    responses(
        (status = 200, description = "A tar archive", body = Vec<u8>, content_type = "application/x-tar"),
        (status = 404, description = "Unknown", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn download_snapshot(
    request: HttpRequest,
    state: web::Data<AppState>,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let path = state
        .engine()?
        .backup_path(&name)?
        .ok_or_else(|| no_such_snapshot(&name))?;
    let name = name.into_inner();
    let mut answer = HttpResponse::Ok();
    answer.insert_header((CONTENT_TYPE, "application/x-tar"));
    answer.insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.tar\"")));
    if request.method() == Method::HEAD {
        return Ok(answer.finish());
    }
    Ok(streamed(answer, move |writer| {
        let mut archive = tar::Builder::new(writer);
        archive.append_dir_all(&name, &path)?;
        archive.into_inner()?.flush()
    }))
}

/// Delete a backup
#[utoipa::path(delete, path = "/v1/admin/snapshots/{name}", tag = "admin",
    params(("name" = String, Path, description = "The backup", example = "snapshot-1760000000000")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "Unknown", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn delete_snapshot(
    request: HttpRequest,
    state: web::Data<AppState>,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    if !state.engine()?.delete_backup(&name).await? {
        return Err(no_such_snapshot(&name));
    }
    tracing::info!(by = changed_by(&request), name = name.as_str(), "a backup was deleted");
    Ok(HttpResponse::NoContent().finish())
}

/// Everything that the server holds of a kind, line by line
///
/// `items`, `users`, `events` (what was accepted) or `slates` (what was served): one JSON object a line, as
/// `swipeline export` writes them.
#[utoipa::path(get, path = "/v1/admin/export/{kind}", tag = "admin",
    params(
        ("kind" = String, Path, description = "`items`, `users`, `events` or `slates`", example = "items"),
        ("since" = Option<String>, Query, description = "Only events and slates from this time on: milliseconds since 1970, or `2026-01-31T12:00:00Z`"),
        ("until" = Option<String>, Query, description = "Only events and slates before this time"),
    ),
    responses(
        (status = 200, description = "One JSON object a line", body = String, content_type = "application/x-ndjson"),
        (status = 404, description = "No such kind", body = ProblemDto, content_type = "application/problem+json"),
        (status = 422, description = "A parameter breaks a rule", body = ProblemDto, content_type = "application/problem+json"),
    ))]
pub(crate) async fn export(
    request: HttpRequest,
    state: web::Data<AppState>,
    kind: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request)?;
    let time = |name: &str| {
        let read = |text: &str| parse_time(text).map_err(|error| Problem::rule(name, "invalid", error));
        query.text(name).map(read).transpose()
    };
    let range = TimeRange {
        since: time("since")?,
        until: time("until")?,
    };
    let archive = match kind.as_str() {
        "items" | "users" => None,
        "events" => Some(ArchiveKind::Events),
        "slates" => Some(ArchiveKind::Slates),
        other => {
            let detail = format!("there is no {other:?} to export; there are items, users, events and slates");
            return Err(Problem::new(ProblemKind::NotFound, detail));
        }
    };
    if archive.is_none() && (range.since.is_some() || range.until.is_some()) {
        return Err(Problem::rule(
            "since",
            "does_not_fit",
            "since and until go with events and slates",
        ));
    }
    let mut answer = HttpResponse::Ok();
    answer.insert_header((CONTENT_TYPE, "application/x-ndjson"));
    if request.method() == Method::HEAD {
        return Ok(answer.finish());
    }
    let engine = state.engine()?.clone();
    let of_users = kind.as_str() == "users";
    let mut users: Vec<UserDto> = Vec::new();
    if of_users {
        engine
            .for_each_user(&mut |user| users.push(UserDto::from(user)))
            .await?;
    }
    Ok(streamed(answer, move |writer| match archive {
        Some(kind) => write_archived(&engine, kind, range, writer),
        None if of_users => users.iter().try_for_each(|user| write_line(writer, user)),
        None => {
            let mut outcome = Ok(());
            engine.for_each_item(&mut |item| {
                if outcome.is_ok() {
                    outcome = write_line(writer, &ItemDto::from(item));
                }
            });
            outcome
        }
    }))
}

fn write_archived(engine: &Engine, kind: ArchiveKind, range: TimeRange, writer: &mut dyn Write) -> io::Result<()> {
    let rows = ArchivedRows::of(kind);
    let mut outcome = Ok(());
    let walked = engine.for_each_archived(kind, range, &mut |row| {
        if outcome.is_ok() {
            outcome = write_line(writer, &rows.object(&row));
        }
    });
    walked.map_err(|error| io::Error::other(error.to_string()))?;
    outcome
}

fn write_line<T: Serialize>(writer: &mut dyn Write, row: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(row)?;
    line.push(b'\n');
    writer.write_all(&line)
}

fn no_such_snapshot(name: &str) -> Problem {
    Problem::new(ProblemKind::NotFound, format!("there is no backup {name:?}"))
}

/// Sends what a thread of its own writes. When it fails half way the connection breaks off, so that nobody takes a part for
/// the whole.
fn streamed(
    mut answer: actix_web::HttpResponseBuilder,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> HttpResponse {
    let (sender, receiver) = tokio::sync::mpsc::channel::<io::Result<Bytes>>(CHUNKS_MAX);
    tokio::task::spawn_blocking(move || {
        let mut writer = BufWriter::with_capacity(CHUNK_BYTES, Chunks(sender.clone()));
        let written = write(&mut writer).and_then(|()| writer.flush());
        if let Err(error) = written {
            // The reader may be gone, which is its own business.
            let _ = sender.blocking_send(Err(error));
        }
    });
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
        let chunk = receiver.recv().await?;
        Some((chunk, receiver))
    });
    answer.streaming(stream)
}

/// Hands on what is written, a chunk at a time.
struct Chunks(tokio::sync::mpsc::Sender<io::Result<Bytes>>);

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = Bytes::copy_from_slice(bytes);
        let sent = self.0.blocking_send(Ok(chunk));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads any more"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! Every way in which a directory can be refused, and that a good one is not.

use super::*;

fn open(path: &Path) -> Result<DataDir, DataDirError> {
    DataDir::open(path, &DataDirOptions::default())
}

#[test]
fn a_new_directory_has_its_layout_and_opens_again() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("deep").join("data");
    let data_dir = open(&path).expect("it is created");
    assert!(data_dir.created());
    for part in ["journal", "snapshots", "index", "archive", "LOCK", "VERSION"] {
        assert!(path.join(part).exists(), "{part}");
    }
    drop(data_dir);
    assert!(!open(&path).expect("it opens again").created());
}

#[test]
fn a_second_user_is_refused_until_the_first_is_gone() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let first = open(dir.path()).expect("it opens");
    let refused = open(dir.path()).expect_err("it is in use");
    assert!(matches!(&refused, DataDirError::InUse(path) if path == dir.path()));
    assert!(
        refused.to_string().contains(&dir.path().display().to_string()),
        "{refused}"
    );
    drop(first);
    open(dir.path()).expect("it opens");
}

#[test]
fn versions_are_checked() {
    type Expected = fn(&DataDirError) -> bool;
    let cases: [(&[u8], Expected); 5] = [
        (br#"{"format":2,"created_by":"x"}"#, |error| {
            matches!(
                error,
                DataDirError::NewerVersion {
                    found: 2,
                    supported: DATA_DIR_FORMAT,
                    ..
                }
            )
        }),
        (br#"{"format":0,"created_by":"x"}"#, |error| {
            matches!(error, DataDirError::BadVersion { .. })
        }),
        (b"", |error| matches!(error, DataDirError::BadVersion { .. })),
        (b"\xff\xfe garbage", |error| {
            matches!(error, DataDirError::BadVersion { .. })
        }),
        (br#"{"format":-1}"#, |error| {
            matches!(error, DataDirError::BadVersion { .. })
        }),
    ];
    for (content, expected) in cases {
        let dir = tempfile::tempdir().expect("temporary folder");
        fs::write(dir.path().join(VERSION_FILE), content).expect("written");
        let error = open(dir.path()).expect_err("it is refused");
        assert!(expected(&error), "{error}");
        assert!(
            !dir.path().join("journal").exists(),
            "a refused directory is not touched"
        );
    }
}

#[test]
fn a_version_that_is_gone_or_damaged_is_written_again_where_everything_else_is_there() {
    for content in [None, Some(b"".as_slice()), Some(b"\0\0\0\0")] {
        let dir = tempfile::tempdir().expect("temporary folder");
        drop(open(dir.path()).expect("it is created"));
        let version = dir.path().join(VERSION_FILE);
        let whole = fs::read(&version).expect("read");
        match content {
            Some(content) => fs::write(&version, content).expect("damaged"),
            None => fs::remove_file(&version).expect("removed"),
        }
        let refused = open(dir.path()).expect_err("what was never started is no data directory");
        assert!(
            matches!(refused, DataDirError::BadVersion { .. } | DataDirError::Foreign { .. }),
            "{refused}"
        );
        fs::write(dir.path().join(EPOCH_FILE), b"3").expect("written");
        fs::write(dir.path().join("journal/00000000000000000001.seg"), b"").expect("written");
        assert!(!open(dir.path()).expect("it opens").created());
        assert_eq!(fs::read(&version).expect("read"), whole);
    }
}

#[test]
fn files_and_foreign_directories_are_refused() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let file = dir.path().join("file");
    fs::write(&file, b"x").expect("written");
    assert!(matches!(open(&file), Err(DataDirError::NotADirectory(_))));
    assert!(matches!(open(&file.join("below")), Err(DataDirError::NotADirectory(_))));
    let refused = open(dir.path());
    assert!(matches!(refused, Err(DataDirError::Foreign { found, .. }) if found == "file"));
    fs::remove_file(&file).expect("removed");
    fs::create_dir(dir.path().join("lost+found")).expect("made");
    fs::write(dir.path().join(".hidden"), b"x").expect("written");
    open(dir.path()).expect("a fresh volume is fine");
}

#[test]
fn reasons_of_the_file_system_are_told_apart() {
    let path = Path::new("/data");
    let mapped = |code| DataDirError::from_io(path, io::Error::from_raw_os_error(code));
    const EACCES: i32 = 13;
    const ENOSPC: i32 = 28;
    const EROFS: i32 = 30;
    assert!(matches!(mapped(EROFS), DataDirError::ReadOnly(_)));
    assert!(matches!(mapped(EACCES), DataDirError::NotWritable(_)));
    assert!(matches!(mapped(ENOSPC), DataDirError::Io { .. }));
}

#[cfg(unix)]
#[test]
fn a_directory_without_rights_is_not_writable() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("data");
    fs::create_dir(&path).expect("made");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o500)).expect("rights are taken");
    // For root the rights do not count, and it must then simply work.
    let root = File::create(path.join("rights-do-not-count")).is_ok();
    if root {
        fs::remove_file(path.join("rights-do-not-count")).expect("removed");
    }
    let opened = open(&path);
    assert!(if root {
        opened.is_ok()
    } else {
        matches!(opened, Err(DataDirError::NotWritable(_)))
    });
}

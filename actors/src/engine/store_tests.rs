//! Sessions and items on their way into the store and back, while the store is slow.

use std::ops::ControlFlow;
use std::sync::mpsc;

use swipeline_storage::SnapshotOp;

use super::testing::{eventually, items, like, request};
use super::*;

/// An engine in memory with one thread for all sessions, which are passivated when they are idle for so long.
async fn engine(session_idle_ms: i64) -> Engine {
    let config = EngineConfig {
        arbiters: 1,
        session_idle_ms,
        ..EngineConfig::default()
    };
    let engine = Engine::start(config).await.expect("an engine in memory");
    engine.upsert_items(items()).await.expect("taken");
    engine
}

/// A store with a writer that waits for a slow reader: until this is dropped, nobody gets anything out of it.
struct Busy {
    release: Option<mpsc::Sender<()>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Busy {
    async fn make(engine: &Engine) -> Busy {
        engine.checkpoint().await.expect("a checkpoint");
        let store = &engine.shared.storage.snapshots;
        let (release, released) = mpsc::channel::<()>();
        let (reads, writes) = (store.clone(), store.clone());
        let (began, begun) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            let visited = reads.for_each(Tree::Meta, &mut |_, _| {
                began.send(()).expect("somebody waits");
                // Ends with its sender.
                let _ = released.recv();
                ControlFlow::Break(())
            });
            visited.expect("readable");
        });
        begun.recv().expect("there is something to visit");
        let writer = std::thread::spawn(move || {
            let key = b"busy".to_vec();
            let delete = SnapshotOp::Delete { tree: Tree::Meta, key };
            writes.apply(vec![delete]).expect("applied");
        });
        eventually("the store is busy", || store.try_get(Tree::Meta, b"busy").is_none()).await;
        Busy {
            release: Some(release),
            threads: vec![reader, writer],
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        drop(self.release.take());
        self.threads
            .drain(..)
            .for_each(|thread| thread.join().expect("no panic"));
    }
}

async fn passivate_all(engine: &Engine) {
    engine.shared.sessions.sweep(-1_000);
    eventually("all sessions are passivated", || engine.shared.sessions.len() == 0).await;
}

async fn recent(engine: &Engine, user: &UserId) -> Vec<String> {
    let profile = engine.profile(user).await.expect("an answer");
    profile.map(|profile| profile.recent.clone()).unwrap_or_default()
}

#[test]
fn a_session_that_has_to_be_read_waits_alone() {
    actix::System::new().block_on(async {
        let engine = engine(60_000).await;
        let [known, other] = ["known", "other"].map(|id| UserId::new(id).expect("an id"));
        engine.ingest(vec![like(&known, "v3")]).await.expect("taken");
        let busy = Busy::make(&engine).await;
        let (inside, asked) = (engine.clone(), request(&other));
        let waits = tokio::spawn(async move { inside.feed(asked).await });
        // Of the same thread as the one that waits.
        for _ in 0..3 {
            assert_eq!(engine.feed(request(&known)).await.expect("a feed").items.len(), 5);
        }
        assert!(!waits.is_finished());
        drop(busy);
        assert_eq!(waits.await.expect("no panic").expect("a feed").items.len(), 5);
        engine.shutdown().await.expect("shut down");
    });
}

#[test]
fn a_passivated_session_comes_back_before_the_store_has_it() {
    actix::System::new().block_on(async {
        let engine = engine(0).await;
        // Nobody writes until a checkpoint does.
        engine.tasks.lock().drain(..).for_each(|task| task.abort());
        let user = UserId::new("u1").expect("an id");
        engine.ingest(vec![like(&user, "v3")]).await.expect("taken");
        let busy = Busy::make(&engine).await;
        engine.ingest(vec![like(&user, "v4")]).await.expect("taken");
        passivate_all(&engine).await;
        assert_eq!(recent(&engine, &user).await, ["v4", "v3"], "as it was put on its way");
        drop(busy);
        engine.ingest(vec![like(&user, "v5")]).await.expect("taken");
        passivate_all(&engine).await;
        engine.checkpoint().await.expect("a checkpoint");
        let stored = engine.shared.storage.snapshots.get(Tree::Sessions, b"u1");
        assert!(stored.expect("readable").is_some());
        assert_eq!(
            engine.shared.session_rows.write(&engine.shared).expect("nothing waits"),
            0
        );
        assert_eq!(recent(&engine, &user).await, ["v5", "v4", "v3"], "as the store has it");
        engine.shutdown().await.expect("shut down");
    });
}

#[test]
fn sessions_are_written_without_a_checkpoint_and_forgotten_with_what_waits() {
    actix::System::new().block_on(async {
        let engine = engine(0).await;
        let [kept, forgotten] = ["kept", "forgotten"].map(|id| UserId::new(id).expect("an id"));
        let likes = [&kept, &forgotten].map(|user| like(user, "v3"));
        engine.ingest(likes.to_vec()).await.expect("taken");
        passivate_all(&engine).await;
        let store = &engine.shared.storage.snapshots;
        let is_stored = |user: &UserId| {
            let row = store.get(Tree::Sessions, user.as_str().as_bytes());
            row.expect("readable").is_some()
        };
        eventually("both are written", || is_stored(&kept) && is_stored(&forgotten)).await;
        engine.ingest(vec![like(&forgotten, "v4")]).await.expect("taken");
        passivate_all(&engine).await;
        assert!(engine.delete_user(&forgotten).await.expect("forgotten"));
        engine.checkpoint().await.expect("a checkpoint");
        assert_eq!((is_stored(&kept), is_stored(&forgotten)), (true, false));
        assert_eq!(recent(&engine, &forgotten).await, Vec::<String>::new());
        engine.shutdown().await.expect("shut down");
    });
}

#[test]
fn an_items_statistics_are_read_when_its_actor_comes_back() {
    actix::System::new().block_on(async {
        let engine = engine(60_000).await;
        let [first, second] = ["u1", "u2"].map(|id| UserId::new(id).expect("an id"));
        let likes = vec![like(&first, "v3"), like(&second, "v4")];
        engine.ingest(likes).await.expect("taken");
        let row = engine.shared.world.catalogue.row("v3").expect("known");
        let shown = || {
            let entry = engine.shared.world.board.read(row);
            entry.map_or(0, |entry| entry.impressions)
        };
        eventually("the like counts", || shown() == 1).await;
        engine.checkpoint().await.expect("a checkpoint");
        // Its actor ends without a word, as if its windows had become empty.
        engine.shared.items.forget_actor(row);
        let busy = Busy::make(&engine).await;
        engine.ingest(vec![like(&second, "v3")]).await.expect("taken");
        engine.feed(request(&first)).await.expect("a feed");
        assert_eq!(shown(), 1, "the signal waits for what is read");
        drop(busy);
        eventually("both likes count", || shown() == 2).await;
        engine.shutdown().await.expect("shut down");
    });
}

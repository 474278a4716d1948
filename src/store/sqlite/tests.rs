//! The SQLite store: conformance, migrations, busy and broken files.

use super::*;
use crate::handoff::{HandoffId, HandoffReason};
use crate::store::conformance;

#[tokio::test]
async fn memory_conforms() {
    conformance::run(&SqliteStore::in_memory().await.expect("opens")).await;
}

#[tokio::test]
async fn a_file_conforms_and_keeps_its_records() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("not/there/yet");
    let store = SqliteStore::open("sqlite:w.db", &data).await.expect("opens");
    conformance::run(&store).await;
    let before = store.list_calls(&CallQuery { limit: MAX_LIMIT, ..CallQuery::default() }).await.expect("readable");
    store.close().await;
    let store = SqliteStore::open("sqlite:w.db", &data).await.expect("opens again");
    let after = store.list_calls(&CallQuery { limit: MAX_LIMIT, ..CallQuery::default() }).await.expect("readable");
    assert!(!before.is_empty());
    assert_eq!(json(&before), json(&after));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&data).expect("there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "others may look into {}", data.display());
    }
}

#[tokio::test]
async fn what_belongs_to_no_call_is_refused_for_good() {
    let store = SqliteStore::in_memory().await.expect("opens");
    let trigger = TriggerRecord {
        call_id: CallId::generate(),
        handoff_id: HandoffId::generate(),
        at_ms: 0,
        reason: HandoffReason::CallerAsked,
        signals: serde_json::Value::Null,
    };
    let refused = store.put_trigger(&trigger).await.expect_err("there is no such call");
    assert!(refused.is_refusal(), "{refused:?}");
    store.close().await;
    let failed = store.put_trigger(&trigger).await.expect_err("closed");
    assert!(!failed.is_refusal(), "it may go better the next time: {failed:?}");
}

/// A database as every earlier release left it is brought up to date with its records intact.
#[tokio::test]
async fn every_earlier_version_is_brought_up_to_date() {
    for version in MIGRATIONS.iter().map(|migration| migration.version) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let pool = open_file(&folder.path().join("w.db"), BUSY_TIMEOUT).await.expect("opens");
        MIGRATIONS.run_to(version, &pool).await.expect("migrates so far");
        let call = conformance::call(0);
        SqliteStore { pool: pool.clone() }.put_call(&call).await.expect("written");
        pool.close().await;

        let store = SqliteStore::open("sqlite:w.db", folder.path()).await.expect("opens");
        assert!(store.get_call(call.id).await.expect("readable").is_some(), "lost from version {version}");
        assert!(store.list_users().await.expect("the tables of the last version are there").is_empty());
    }
}

/// The release before this one can be started again on a database a later one has migrated.
#[tokio::test]
async fn a_later_version_does_not_lock_out_this_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = SqliteStore::open("sqlite:w.db", folder.path()).await.expect("opens");
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time) \
         VALUES (9999, 'later', CURRENT_TIMESTAMP, TRUE, x'00', 0)",
    )
    .execute(&store.pool)
    .await
    .expect("written");
    store.close().await;
    SqliteStore::open("sqlite:w.db", folder.path()).await.expect("opens");
}

#[tokio::test]
async fn an_unknown_word_is_named_not_a_panic() {
    let store = SqliteStore::in_memory().await.expect("opens");
    let call = conformance::call(0);
    store.put_call(&call).await.expect("written");
    sqlx::query("UPDATE calls SET outcome = 'teleported'").execute(&store.pool).await.expect("written");
    match store.get_call(call.id).await {
        Err(StoreError::Corrupt { what: "outcome", reason }) => assert!(reason.contains("teleported"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn opening_names_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("w.db"), "this is no database, and it is long enough to be read as one")
        .expect("written");
    let error = SqliteStore::open("sqlite:w.db", folder.path()).await.expect_err("no database").to_string();
    assert!(error.contains("w.db") && error.contains("not a database"), "{error}");
    let error = SqliteStore::open("postgres://x", folder.path()).await.expect_err("not ours").to_string();
    assert!(error.contains("sqlite:FILE"), "{error}");
}

/// Two processes write the same file at once, as `warmline user add` beside a server does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_wait_for_each_other() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let one = SqliteStore::open("sqlite:w.db", folder.path()).await.expect("opens");
    let two = SqliteStore::open("sqlite:w.db", folder.path()).await.expect("opens");
    let mut writers = tokio::task::JoinSet::new();
    for store in [&one, &two, &one, &two] {
        let store = store.clone();
        writers.spawn(async move {
            for n in 0..25 {
                store.put_call(&conformance::call(n)).await.expect("written");
            }
        });
    }
    writers.join_all().await;
    let calls = one.list_calls(&CallQuery { limit: MAX_LIMIT, ..CallQuery::default() }).await.expect("readable");
    assert_eq!(calls.len(), 100);
}

/// A writer who holds the file longer than SQLite itself waits costs no record.
#[tokio::test]
async fn a_busy_database_is_tried_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("w.db");
    SqliteStore::open("sqlite:w.db", folder.path()).await.expect("migrates").close().await;
    let store = SqliteStore { pool: open_file(&file, Duration::ZERO).await.expect("opens") };
    let other = open_file(&file, Duration::ZERO).await.expect("opens");

    let lock = other.begin_with("BEGIN IMMEDIATE").await.expect("nobody else writes");
    let call = conformance::call(0);
    let release = async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        lock.rollback().await.expect("released");
    };
    let (written, ()) = tokio::join!(store.put_call(&call), release);
    written.expect("tried again");
    assert!(store.get_call(call.id).await.expect("readable").is_some());

    let _lock = other.begin_with("BEGIN IMMEDIATE").await.expect("nobody else writes");
    let error = store.put_call(&call).await.expect_err("gives up in the end");
    assert!(matches!(error, StoreError::Query(source) if is_busy(&source)));
}

//! Flags → logs → [`app::serve`] → exit code: 0 stopped on request, 1 failed, 2 wrong usage.

use std::io::{IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use clap::Parser;
use tracing::{error, warn};
use tracing_subscriber::EnvFilter;
use warmline_llm_worker::api::Token;
use warmline_llm_worker::app::{self, AppError, Settings};
use warmline_llm_worker::cli::{Args, TOKEN_VARIABLE};
use warmline_llm_worker::engine::Policy;
use warmline_llm_worker::lifeline::Lifeline;
use warmline_llm_worker::llama::{self, LoadSettings};

/// What OpenMP is told, see [`let_waiting_threads_sleep`]; the second is for GNU's alone, others ignore it.
const WAIT_POLICY: [(&str, &str); 2] = [("OMP_WAIT_POLICY", "passive"), ("GOMP_SPINCOUNT", "300")];

fn main() -> ExitCode {
    let args = Args::parse();
    let_waiting_threads_sleep();
    let filter = EnvFilter::try_from_env("WARMLINE_LOG").unwrap_or_else(|_| EnvFilter::new("info,llama-cpp-2=warn"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    warn_if_slow();
    let token = match args.check().and_then(|()| args.token(std::env::var(TOKEN_VARIABLE).ok())) {
        Ok(token) => token.map(|token| Token(token.into())),
        Err(error) => {
            error!("{}", chain(&error));
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(args, token)),
        Err(error) => Err(AppError::Thread(error)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args, token: Option<Token>) -> Result<(), AppError> {
    let lifeline = Lifeline::watch(args.parent_pid).map_err(AppError::Signals)?;
    let policy = Policy {
        threads: args.threads,
        threads_after_clause: args.threads_after_clause.unwrap_or(args.threads),
        batch: args.batch as usize,
    };
    let settings = Settings { listen: args.listen, token, queue: args.queue as usize, policy };
    let load = LoadSettings {
        path: args.model,
        context: args.context,
        batch: args.batch,
        prefixes: args.prefixes,
        threads: args.threads,
    };
    app::serve(
        settings,
        lifeline,
        move |give_up| Ok(llama::load(&load, give_up)?),
        |address| {
            // The only line on standard output; a reader that has gone away is no reason to fail.
            let _ = writeln!(std::io::stdout(), r#"{{"listening":"{address}"}}"#);
        },
    )
    .await
}

/// Threads that wait for each other inside the model must soon sleep: beside speech recognition and a voice there are more
/// busy threads than cores, and a spinning thread keeps the one it waits for from running. A few hundred turns of spinning
/// (microseconds) cost nobody anything and make an idle machine a third faster.
///
/// OpenMP takes that from the environment before `main`, so this program starts itself once more (same process, same
/// pipes) with the variables set. An operator who sets the first keeps the choice.
fn let_waiting_threads_sleep() {
    if std::env::var_os(WAIT_POLICY[0].0).is_some() {
        return;
    }
    let Ok(this) = std::env::current_exe() else { return };
    let error = Command::new(this).args(std::env::args_os().skip(1)).envs(WAIT_POLICY).exec();
    eprintln!("cannot start anew to set {WAIT_POLICY:?}, so waiting threads will spin: {error}");
}

/// The whole story of an error in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

fn warn_if_slow() {
    #[cfg(all(target_arch = "x86_64", not(target_feature = "avx2")))]
    if std::arch::is_x86_feature_detected!("avx2") {
        warn!("Built without AVX2 on a machine that has it: several times slower than it could be, see README.md");
    }
    if cfg!(debug_assertions) {
        warn!("Built without optimisation: far slower than it could be");
    }
}

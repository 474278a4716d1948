//! The command line, and what of it is refused.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

/// Environment variable with the bearer token; not a flag, because flags are visible to every user of the machine.
pub const TOKEN_VARIABLE: &str = "WARMLINE_LLM_TOKEN";

/// Serves one GGUF model through OpenAI's chat API, on loopback only.
#[derive(Clone, Debug, Parser)]
#[command(name = "warmline-llm-worker", version)]
pub struct Args {
    /// The model, a GGUF file.
    #[arg(long)]
    pub model: PathBuf,
    /// Loopback address to listen on; port 0 takes a free one. The address is printed as one line of JSON.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// CPU threads for the prompt and until the reply's first clause is out.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: u32,
    /// CPU threads for the rest of the reply, when the voice needs a core; the same as --threads if not given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads_after_clause: Option<u32>,
    /// Tokens the key-value cache holds: all kept prefixes and the running request together.
    #[arg(long, default_value_t = 8192, value_parser = clap::value_parser!(u32).range(256..=1_048_576))]
    pub context: u32,
    /// Prompt tokens per evaluation.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=2048))]
    pub batch: u32,
    /// Prefixes kept at most, pinned or not.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(4..=256))]
    pub prefixes: u32,
    /// Requests that may wait; more are refused with 503.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub queue: u32,
    /// File with the bearer token every request must carry. Without it the variable WARMLINE_LLM_TOKEN is used.
    #[arg(long)]
    pub token_file: Option<PathBuf>,
    /// The process that started this one: exit when it dies. A closed pipe on standard input always means that.
    #[arg(long)]
    pub parent_pid: Option<i32>,
}

/// Wrong usage: exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    #[error("--listen {0} is not a loopback address; the worker has no business on a network")]
    NotLoopback(SocketAddr),
    #[error("--model {path} cannot be read")]
    Model {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("--token-file {path} cannot be read")]
    TokenFile {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the bearer token is empty or has other than visible ASCII characters")]
    Token,
}

impl Args {
    /// Checks what clap can't.
    pub fn check(&self) -> Result<(), UsageError> {
        if !self.listen.ip().is_loopback() {
            return Err(UsageError::NotLoopback(self.listen));
        }
        let opened = std::fs::File::open(&self.model);
        opened.map(drop).map_err(|source| UsageError::Model { path: self.model.clone(), source })
    }

    /// The bearer token from the file, else from `variable`'s value.
    pub fn token(&self, variable: Option<String>) -> Result<Option<String>, UsageError> {
        let token = match &self.token_file {
            Some(path) => {
                let text = std::fs::read_to_string(path);
                Some(text.map_err(|source| UsageError::TokenFile { path: path.clone(), source })?)
            }
            None => variable,
        };
        let token = token.map(|token| token.trim().to_owned());
        match token {
            Some(token) if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Err(UsageError::Token)
            }
            token => Ok(token),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(extra: &[&str]) -> Args {
        let all = ["warmline-llm-worker", "--model", "/dev/null"].iter().chain(extra);
        Args::try_parse_from(all).expect("valid flags")
    }

    #[test]
    fn only_loopback_is_accepted() {
        for good in ["127.0.0.1:0", "127.0.0.9:8080", "[::1]:80"] {
            args(&["--listen", good]).check().expect("loopback");
        }
        for bad in ["0.0.0.0:80", "192.168.1.2:80", "[::]:80", "10.0.0.1:0"] {
            assert!(matches!(args(&["--listen", bad]).check(), Err(UsageError::NotLoopback(_))), "{bad}");
        }
    }

    #[test]
    fn a_missing_model_is_named() {
        let mut args = args(&[]);
        args.model = "/does/not/exist.gguf".into();
        assert!(args.check().expect_err("there is none").to_string().contains("/does/not/exist.gguf"));
    }

    #[test]
    fn tokens_are_trimmed_and_checked() {
        let args = args(&[]);
        assert_eq!(args.token(None).expect("none is fine"), None);
        assert_eq!(args.token(Some(" abc\n".into())).expect("valid"), Some("abc".into()));
        assert!(matches!(args.token(Some(" ".into())), Err(UsageError::Token)));
        assert!(matches!(args.token(Some("a b".into())), Err(UsageError::Token)));
    }
}

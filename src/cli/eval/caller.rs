//! A caller who is played by a language model: it has a goal in words, hears what the assistant says, and says one thing at a
//! time. What becomes of the call is judged by code, as of every scripted one; what the model thinks of it counts nothing.
//!
//! The same seed gives the same manner and the same words, as far as the model's server keeps to it.

use std::sync::Arc;
use std::time::Duration;

use minijinja::{Environment, UndefinedBehavior, context};
use tokio::sync::mpsc;

use super::scenario::Part;
use crate::cli::{CliError, explain};
use crate::config::DialogConfig;
use crate::dialog::prompt;
use crate::engine::llm::openai::{Endpoint, OpenAiClient};
use crate::engine::llm::{ChatMessage, ChatRequest, LanguageModel, Role};
use crate::telemetry::Secret;

const PROMPT: &str = "caller.md";
/// A sentence, and room for a model that thinks before it speaks.
const MOST_TOKENS: u32 = 400;
/// Enough for other words with another seed.
const TEMPERATURE: f32 = 0.7;
/// Nobody waits on a line.
const DEADLINE: Duration = Duration::from_secs(120);
/// Pieces on their way.
const PIECES: usize = 64;
/// Longest thing a caller says, in characters; the rest is not heard.
const LONGEST: usize = 300;
/// What the model says when it hangs up.
const BYE: &str = "bye";
/// How callers are; the seed chooses.
const MANNERS: &[&str] = &[
    "polite and to the point",
    "in a hurry, speaks in fragments",
    "hesitant, needs a detour to say what it is about",
    "chatty and friendly",
    "a little annoyed, but never rude",
    "plain words, no telephone phrases",
];

/// What a played caller does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Says this.
    Says(String),
    /// Hangs up.
    HangsUp,
}

/// A model that plays callers.
pub struct Caller {
    model: Arc<dyn LanguageModel>,
    template: String,
    company: String,
}

impl Caller {
    /// The model of this name at an OpenAI-compatible server.
    pub fn remote(url: &str, model: &str, key: Secret<String>, dialog: &DialogConfig) -> Result<Self, CliError> {
        let client = OpenAiClient::remote(Endpoint { url: url.to_owned(), key }, model.to_owned())
            .map_err(|error| CliError::usage(explain(&error), "Check `--caller`."))?;
        Self::new(Arc::new(client), dialog)
    }

    /// This model.
    pub fn new(model: Arc<dyn LanguageModel>, dialog: &DialogConfig) -> Result<Self, CliError> {
        let template = prompt::template(dialog, PROMPT, include_str!("../../../prompts/caller.md"))
            .map_err(|error| CliError::usage(explain(&error), "Check `dialog.prompts_dir`."))?;
        let caller = Self { model, template, company: dialog.company.clone() };
        // A prompt that can't be rendered is told of before the first call.
        match caller.system(&Part::default(), true) {
            Ok(_) => Ok(caller),
            Err(reason) => Err(CliError::usage(reason, "Check `dialog.prompts_dir`.")),
        }
    }

    /// A model that may hang up before it has said anything does so, if it is small.
    fn system(&self, part: &Part, spoke: bool) -> Result<String, String> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let manner = MANNERS[(part.seed % MANNERS.len() as u64) as usize];
        let (company, goal) = (self.company.as_str(), part.goal.as_str());
        environment
            .render_str(&self.template, context! { company, goal, manner, spoke })
            .map_err(|error| explain(&error))
    }

    /// What the caller of `part` does after `heard`: what they heard first, then their own words and what they heard, in turn.
    pub async fn next(&self, part: &Part, heard: &[String]) -> Result<Move, String> {
        let mut messages = vec![ChatMessage { role: Role::System, content: self.system(part, heard.len() > 1)? }];
        // To the model the assistant is its user.
        let roles = [Role::User, Role::Assistant].into_iter().cycle();
        messages.extend(roles.zip(heard).map(|(role, content)| ChatMessage { role, content: content.clone() }));
        let request = ChatRequest {
            messages,
            max_tokens: MOST_TOKENS,
            temperature: TEMPERATURE,
            seed: Some(part.seed),
            choices: Vec::new(),
            tools: Vec::new(),
            first_token_deadline: DEADLINE,
            next_token_deadline: DEADLINE,
        };
        let (pieces, mut read) = mpsc::channel(PIECES);
        let drain = async { while read.recv().await.is_some() {} };
        let summary = tokio::join!(self.model.generate(request, pieces), drain).0.map_err(|error| explain(&error))?;
        read_move(&summary.text).ok_or_else(|| "it said nothing".to_owned())
    }
}

/// The first line with words in it, without what models put around words.
fn read_move(text: &str) -> Option<Move> {
    let line = text.lines().map(str::trim).find(|line| line.chars().any(char::is_alphanumeric))?;
    let line = line.strip_prefix("Caller:").or_else(|| line.strip_prefix("CALLER:")).unwrap_or(line);
    let said = line.trim_matches(|c: char| c.is_whitespace() || "\"“”*_`".contains(c));
    let bare: String = said.chars().filter(|c| c.is_alphabetic()).collect();
    if bare.eq_ignore_ascii_case(BYE) {
        return Some(Move::HangsUp);
    }
    (!bare.is_empty() || said.chars().any(char::is_numeric)).then(|| Move::Says(said.chars().take(LONGEST).collect()))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use axum::extract::State;
    use axum::response::IntoResponse;
    use axum::routing::post;
    use axum::{Json, Router};
    use serde_json::{Value, json};
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;
    use crate::cli::eval::scenario::Suite;
    use crate::cli::eval::tests::stage_without_model;
    use crate::cli::eval::{play, score};

    /// What a server was asked, and what it still has to say.
    #[derive(Default)]
    struct Fixed {
        asked: Mutex<Vec<Value>>,
        says: Mutex<VecDeque<&'static str>>,
    }

    async fn complete(State(fixed): State<Arc<Fixed>>, Json(body): Json<Value>) -> impl IntoResponse {
        fixed.asked.lock().expect("no panic").push(body);
        let says = fixed.says.lock().expect("no panic").pop_front().unwrap_or_default();
        // In two pieces, as a stream has it.
        let (first, rest) = says.split_at(says.len() / 2);
        let event = |text: &str| format!("data: {}\n\n", json!({ "choices": [{ "delta": { "content": text } }] }));
        ([("content-type", "text/event-stream")], format!("{}{}data: [DONE]\n\n", event(first), event(rest)))
    }

    /// A scenario whose caller a server plays with these words: its problems, its turns, and what the server was asked.
    async fn played(yaml: &str, says: &[&'static str]) -> (Vec<String>, Vec<String>, Vec<Value>) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("calls.yaml");
        std::fs::write(&file, yaml).expect("written");
        let mut suite = Suite::load(&[file]).expect("valid");
        let (stage, config) = stage_without_model(&suite).await;
        let fixed = Arc::new(Fixed { says: Mutex::new(says.iter().copied().collect()), ..Fixed::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let app = Router::new().route("/v1/chat/completions", post(complete)).with_state(fixed.clone());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, app).await });
        let caller = Caller::remote(&url, "m", Secret::default(), &config.dialog).expect("a caller");
        let mut scenario = suite.scenarios.remove(0);
        let part = scenario.part.clone().expect("a part");
        let played = play::play_with(&stage, &mut scenario, &part, &caller).await;
        let verdict = score::judge(&scenario, &played);
        let words = scenario.turns.iter().filter_map(|turn| turn.say.clone()).collect();
        let asked = fixed.asked.lock().expect("no panic").clone();
        (verdict.problems, words, asked)
    }

    const DELIVERY: &str = "kind: answerable\nscenarios:\n  - caller: { goal: Find out what delivery costs., turns: 4, seed: 3 }\n    \
                            must: { spoken: [\"4.90\"], absent: [\"9.90\"], handoff: none }\n";

    #[tokio::test]
    async fn a_model_plays_the_caller_and_code_judges_the_call() {
        let (problems, words, asked) =
            played(DELIVERY, &["\"How much is delivery?\"\nAssistant: It is free.", "BYE."]).await;
        assert_eq!((problems, words), (Vec::<String>::new(), vec!["How much is delivery?".to_owned()]));
        let [first, second] = &asked[..] else { panic!("two requests: {asked:?}") };
        let text =
            |request: &Value, at: usize| request["messages"][at]["content"].as_str().unwrap_or_default().to_owned();
        assert!(text(first, 0).contains("Find out what delivery costs.") && text(first, 0).contains(MANNERS[3]));
        assert_eq!((&first["seed"], &first["messages"][1]["role"]), (&json!(3), &json!("user")));
        assert!(text(first, 1).contains("Larkfield"), "the greeting was heard: {first}");
        assert!(!text(first, 0).contains("BYE") && text(second, 0).contains("BYE"), "nobody hangs up unheard");
        assert_eq!(
            (&second["messages"][2]["role"], text(second, 2)),
            (&json!("assistant"), "How much is delivery?".to_owned())
        );
        assert!(text(second, 3).contains("4.90"), "the answer was heard: {second}");
    }

    #[tokio::test]
    async fn what_must_be_and_is_not_fails_whatever_the_caller_thinks_of_it() {
        let (problems, words, _) =
            played(DELIVERY, &["When do you open on Sunday?", "Thank you, that is perfect.", "BYE"]).await;
        assert!(problems.iter().any(|problem| problem.contains("4.90")), "{problems:?} {words:?}");
        let person = DELIVERY.replace("handoff: none", "handoff: caller_asked").replace("answerable", "stuck");
        let (problems, words, asked) = played(&person, &["How much is delivery?", "Get me a human."]).await;
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!((words.len(), asked.len()), (2, 2), "whoever has a person is asked no more");
    }

    #[tokio::test]
    async fn a_caller_who_says_nothing_fails_the_scenario() {
        let (problems, words, _) = played(DELIVERY, &[""]).await;
        assert!(problems.iter().any(|problem| problem.contains("the caller's model")), "{problems:?}");
        assert!(words.is_empty());
        let every_turn = ["Hello?", "Hello?", "Hello?", "Hello?", "Hello?"];
        let (_, words, asked) = played(DELIVERY, &every_turn).await;
        assert!(words.len() <= 4 && asked.len() <= 4, "no more than its turns: {words:?}");
    }

    #[test]
    fn only_the_callers_own_words_are_taken() {
        let says = |text: &str| Some(Move::Says(text.to_owned()));
        for (text, wanted) in [
            ("How much is it?", says("How much is it?")),
            ("\n \"Hi there.\" \nAssistant: Hello!", says("Hi there.")),
            ("Caller: 440017", says("440017")),
            ("BYE", Some(Move::HangsUp)),
            ("*Bye!*", Some(Move::HangsUp)),
            ("Goodbye and thanks.", says("Goodbye and thanks.")),
            ("", None),
            ("…\n\"\"", None),
        ] {
            assert_eq!(read_move(text), wanted, "{text}");
        }
        let Some(Move::Says(long)) = read_move(&"so ".repeat(500)) else { panic!("words") };
        assert_eq!(long.chars().count(), LONGEST);
    }
}

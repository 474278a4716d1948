//! A tiny Whisper is made in CTranslate2 form, converted, and read back by a reader of its own.

use std::collections::{BTreeMap, HashMap};
use std::io::Cursor;

use half::f16;
use proptest::prelude::*;

use super::*;

const STATE: u32 = 64;
const VOCAB: u32 = 80;
const AUDIO_CONTEXT: u32 = 10;
const TEXT_CONTEXT: u32 = 6;
const MELS: u32 = 80;

/// The variables of a one-layer Whisper, by name, with their dimensions.
fn variables() -> BTreeMap<String, Vec<u32>> {
    let mut all = BTreeMap::new();
    let mut add = |name: &str, dims: &[u32]| {
        all.insert(name.to_owned(), dims.to_vec());
    };
    for (side, context) in [("encoder", AUDIO_CONTEXT), ("decoder", TEXT_CONTEXT)] {
        add(&format!("{side}/position_encodings/encodings"), &[context, STATE]);
        let mut norms = vec!["layer_norm", "layer_0/ffn/layer_norm", "layer_0/self_attention/layer_norm"];
        let mut linears = vec![
            ("self_attention/linear_0", 3 * STATE, STATE),
            ("self_attention/linear_1", STATE, STATE),
            ("ffn/linear_0", 4 * STATE, STATE),
            ("ffn/linear_1", STATE, 4 * STATE),
        ];
        if side == "decoder" {
            norms.push("layer_0/attention/layer_norm");
            linears.extend([
                ("attention/linear_0", STATE, STATE),
                ("attention/linear_1", 2 * STATE, STATE),
                ("attention/linear_2", STATE, STATE),
            ]);
        }
        for norm in norms {
            add(&format!("{side}/{norm}/gamma"), &[STATE]);
            add(&format!("{side}/{norm}/beta"), &[STATE]);
        }
        for (linear, rows, columns) in linears {
            add(&format!("{side}/layer_0/{linear}/weight"), &[rows, columns]);
            add(&format!("{side}/layer_0/{linear}/bias"), &[rows]);
        }
    }
    add("decoder/embeddings/weight", &[VOCAB, STATE]);
    for (convolution, inputs) in [("conv1", MELS), ("conv2", STATE)] {
        add(&format!("encoder/{convolution}/weight"), &[STATE, inputs, 3]);
        add(&format!("encoder/{convolution}/bias"), &[STATE]);
    }
    all
}

/// The `index`th value of the variable called `name`: a small whole number, exact in f16.
fn value(name: &str, index: usize) -> f32 {
    let seed = name.bytes().fold(7_usize, |sum, byte| sum * 31 % 1_009 + usize::from(byte));
    ((seed + index) % 2_000) as f32
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u16 + 1).to_le_bytes());
    out.extend(text.as_bytes());
    out.push(0);
}

/// A CTranslate2 file of `variables`, as f16 or f32.
fn ct2(variables: &BTreeMap<String, Vec<u32>>, half: bool) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(6_u32.to_le_bytes());
    string(&mut out, "WhisperSpec");
    out.extend(3_u32.to_le_bytes());
    out.extend((variables.len() as u32 + 1).to_le_bytes());
    string(&mut out, "encoder/num_heads");
    out.extend([0, 2]);
    out.extend(2_u32.to_le_bytes());
    out.extend(1_i16.to_le_bytes());
    for (name, dims) in variables {
        string(&mut out, name);
        out.push(dims.len() as u8);
        dims.iter().for_each(|dim| out.extend(dim.to_le_bytes()));
        let count = dims.iter().product::<u32>() as usize;
        out.push(if half { 4 } else { 0 });
        out.extend((count as u32 * if half { 2 } else { 4 }).to_le_bytes());
        for index in 0..count {
            let value = value(name, index);
            if half { out.extend(f16::from_f32(value).to_le_bytes()) } else { out.extend(value.to_le_bytes()) }
        }
    }
    out.extend(1_u32.to_le_bytes());
    string(&mut out, "decoder/projection/weight");
    string(&mut out, "decoder/embeddings/weight");
    out
}

/// 256 tokens of one byte each in GPT-2's order, then text, then an empty token and special ones.
fn vocabulary() -> String {
    let printable = (b'!'..=b'~').chain(0xa1..=0xac).chain(0xae..=0xff).map(char::from);
    let moved = (0x100..0x100 + 68).map(|code| char::from_u32(code).expect("a character"));
    let mut lines: Vec<String> = printable.chain(moved).map(String::from).collect();
    lines.extend((lines.len()..LISTED_TOKENS - 1).map(|token| format!("Ġtoken{token}")));
    lines.extend(["".to_owned(), "<|endoftext|>".to_owned(), String::new()]);
    lines.join("\n")
}

/// What was read back: dimensions innermost first, values, and whether they were stored as f16.
struct Read {
    dims: Vec<u32>,
    values: Vec<f32>,
    half: bool,
}

struct Ggml {
    header: [i32; 11],
    filters: Vec<f32>,
    tokens: Vec<Vec<u8>>,
    tensors: HashMap<String, Read>,
    order: Vec<String>,
}

/// Takes a ggml file apart; panics unless each byte has its place.
fn read(bytes: &[u8]) -> Ggml {
    let mut left = bytes;
    let mut take = |count: usize| -> Vec<u8> {
        let (taken, rest) = left.split_at_checked(count).expect("the file ends early");
        left = rest;
        taken.to_vec()
    };
    fn number(bytes: Vec<u8>) -> i32 {
        i32::from_le_bytes(bytes.try_into().expect("four bytes"))
    }
    assert_eq!(take(4), b"lmgg");
    let header = std::array::from_fn(|_| number(take(4)));
    let cells = number(take(4)) * number(take(4));
    let filters = (0..cells).map(|_| f32::from_le_bytes(take(4).try_into().expect("four bytes"))).collect();
    let count = number(take(4));
    let tokens = (0..count)
        .map(|_| {
            let length = number(take(4));
            take(length as usize)
        })
        .collect();
    let consumed = bytes.len() - left.len();
    let mut rest = &bytes[consumed..];
    let (mut tensors, mut order) = (HashMap::new(), Vec::new());
    while !rest.is_empty() {
        let mut take = |count: usize| -> Vec<u8> {
            let (taken, after) = rest.split_at_checked(count).expect("the file ends early");
            rest = after;
            taken.to_vec()
        };
        let (rank, length, kind) = (number(take(4)), number(take(4)), number(take(4)));
        let dims: Vec<u32> = (0..rank).map(|_| number(take(4)) as u32).collect();
        let name = String::from_utf8(take(length as usize)).expect("a name");
        let half = kind == 1;
        let values = (0..dims.iter().product::<u32>())
            .map(|_| match half {
                true => f16::from_le_bytes(take(2).try_into().expect("two bytes")).to_f32(),
                false => f32::from_le_bytes(take(4).try_into().expect("four bytes")),
            })
            .collect();
        order.push(name.clone());
        assert!(tensors.insert(name, Read { dims, values, half }).is_none());
    }
    Ggml { header, filters, tokens, tensors, order }
}

/// A model that converts, and its vocabulary.
pub(in crate::models) fn sample() -> (Vec<u8>, String) {
    (ct2(&variables(), true), vocabulary())
}

fn convert(model: &[u8], vocabulary: &str) -> Result<Vec<u8>, ConvertError> {
    let mut out = Vec::new();
    ct2_to_ggml(Cursor::new(model), vocabulary, &mut out)?;
    Ok(out)
}

/// `name` holds `dims` values of `variable` from the `skip`th on.
#[track_caller]
fn check(ggml: &Ggml, name: &str, dims: &[u32], half: bool, variable: &str, skip: u32) {
    let tensor = ggml.tensors.get(name).unwrap_or_else(|| panic!("{name} is missing"));
    assert_eq!((tensor.dims.as_slice(), tensor.half), (dims, half), "{name}");
    let expected = (0..tensor.values.len()).map(|index| value(variable, skip as usize + index));
    assert!(expected.eq(tensor.values.iter().copied()), "{name} has other values than {variable} from {skip}");
}

#[test]
fn every_tensor_is_where_whisper_looks_for_it() {
    for half in [true, false] {
        let ggml = read(&convert(&ct2(&variables(), half), &vocabulary()).expect("a Whisper model"));
        let header = [VOCAB, AUDIO_CONTEXT, STATE, 1, 1, TEXT_CONTEXT, STATE, 1, 1, MELS, 1];
        assert_eq!(ggml.header.map(|value| value as u32), header);
        assert_eq!(ggml.filters, mel::filters(80));

        check(&ggml, "encoder.positional_embedding", &[64, 10], false, "encoder/position_encodings/encodings", 0);
        check(&ggml, "decoder.positional_embedding", &[64, 6], false, "decoder/position_encodings/encodings", 0);
        check(&ggml, "decoder.token_embedding.weight", &[64, 80], true, "decoder/embeddings/weight", 0);
        check(&ggml, "encoder.conv1.weight", &[3, 80, 64], true, "encoder/conv1/weight", 0);
        check(&ggml, "encoder.conv2.weight", &[3, 64, 64], true, "encoder/conv2/weight", 0);
        check(&ggml, "encoder.conv2.bias", &[1, 64], false, "encoder/conv2/bias", 0);
        check(&ggml, "encoder.ln_post.weight", &[64], false, "encoder/layer_norm/gamma", 0);
        check(&ggml, "decoder.ln.bias", &[64], false, "decoder/layer_norm/beta", 0);
        for side in ["encoder", "decoder"] {
            let (to, from) = (format!("{side}.blocks.0"), format!("{side}/layer_0"));
            let stacked = format!("{from}/self_attention/linear_0");
            for (place, part) in [(0, "query"), (1, "key"), (2, "value")] {
                let (weight, skip) = (format!("{stacked}/weight"), place * STATE * STATE);
                check(&ggml, &format!("{to}.attn.{part}.weight"), &[64, 64], true, &weight, skip);
            }
            check(&ggml, &format!("{to}.attn.query.bias"), &[64], false, &format!("{stacked}/bias"), 0);
            check(&ggml, &format!("{to}.attn.value.bias"), &[64], false, &format!("{stacked}/bias"), 2 * STATE);
            assert!(!ggml.tensors.contains_key(&format!("{to}.attn.key.bias")));
            let out = format!("{from}/self_attention/linear_1/weight");
            check(&ggml, &format!("{to}.attn.out.weight"), &[64, 64], true, &out, 0);
            check(&ggml, &format!("{to}.mlp.0.weight"), &[64, 256], true, &format!("{from}/ffn/linear_0/weight"), 0);
            check(&ggml, &format!("{to}.mlp.2.weight"), &[256, 64], true, &format!("{from}/ffn/linear_1/weight"), 0);
            check(&ggml, &format!("{to}.mlp_ln.bias"), &[64], false, &format!("{from}/ffn/layer_norm/beta"), 0);
        }
        let cross = "decoder/layer_0/attention/linear_1";
        let skip = STATE * STATE;
        check(&ggml, "decoder.blocks.0.cross_attn.value.weight", &[64, 64], true, &format!("{cross}/weight"), skip);
        check(&ggml, "decoder.blocks.0.cross_attn.value.bias", &[64], false, &format!("{cross}/bias"), STATE);
        let (query, out) = ("decoder/layer_0/attention/linear_0/bias", "decoder/layer_0/attention/linear_2/bias");
        check(&ggml, "decoder.blocks.0.cross_attn.query.bias", &[64], false, query, 0);
        check(&ggml, "decoder.blocks.0.cross_attn.out.bias", &[64], false, out, 0);
        // whisper.cpp counts: 8 + 15 an audio layer + 24 a text layer, and the decoder's norm and tables.
        assert_eq!(ggml.tensors.len(), 8 + 15 + 24 + 3);
        assert_eq!(ggml.order[0], "decoder.positional_embedding");
    }
}

#[test]
fn tokens_are_raw_bytes_again() {
    let (model, words) = sample();
    let ggml = read(&convert(&model, &words).expect("a Whisper model"));
    assert_eq!(ggml.tokens.len(), LISTED_TOKENS);
    let mut single: Vec<u8> = ggml.tokens[..256].iter().flatten().copied().collect();
    assert_eq!(&single[..3], b"!\"#");
    assert_eq!(&single[188..191], [0, 1, 2]);
    single.sort_unstable();
    assert!(single.into_iter().eq(0..=255));
    assert_eq!(ggml.tokens[300], b" token300");
    assert_eq!(ggml.tokens[LISTED_TOKENS - 1], b"");
}

#[test]
fn what_is_no_whisper_model_is_named() {
    #[track_caller]
    fn fails(model: &[u8], vocabulary: &str, expected: &str) {
        let error = convert(model, vocabulary).expect_err("no model").to_string();
        assert!(error.contains(expected), "{error}");
    }
    let (good, words) = sample();
    fails(b"", &words, "ends inside its version");
    fails(b"lmgg and more", &words, "binary version");
    fails(&good[..good.len() / 2], &words, "ends inside its values");
    fails(&good, "a\nb\n", "vocabulary line 3: the file ends before the last token");
    fails(&good, &words.replacen("token300", "token 300", 1), "vocabulary line 301: a character stands for no byte");

    let mut without = variables();
    without.remove("decoder/layer_norm/beta");
    fails(&ct2(&without, true), &words, "`decoder/layer_norm/beta` is missing");
    let mut odd = variables();
    odd.insert("decoder/layer_0/self_attention/linear_0/weight".to_owned(), vec![2 * STATE, STATE]);
    fails(&ct2(&odd, true), &words, "expected 3 × [64, 64]");

    let mut other = good.clone();
    other[6..17].copy_from_slice(b"MarianSpecX");
    fails(&other, &words, "no Whisper model");
    let place = |name: &[u8]| good.windows(name.len()).position(|window| window == name).expect("in the file");
    let mut quantised = good.clone();
    let at = place(b"decoder/layer_norm/beta\0") + 24;
    quantised[at + 1..at + 5].copy_from_slice(&(STATE / 2).to_le_bytes());
    quantised[at + 5] = 3;
    fails(&quantised, &words, "decoder/layer_norm/beta");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        prop_assert!(convert(&bytes, "a\n").is_err());
    }

    #[test]
    fn a_damaged_model_never_panics(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        length in any::<prop::sample::Index>(),
    ) {
        static GOOD: std::sync::LazyLock<(Vec<u8>, String)> =
            std::sync::LazyLock::new(sample);
        let mut model = GOOD.0.clone();
        for (place, byte) in damage {
            let place = place.index(model.len());
            model[place] = byte;
        }
        // Half of the cases are whole, the others are cut as well.
        let length = length.index(2 * model.len()).min(model.len());
        let _ = convert(&model[..length], &GOOD.1);
    }
}

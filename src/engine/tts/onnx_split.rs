//! Cuts a Piper (VITS) ONNX model into encoder and decoder, so that sound can leave before the sentence is made.
//!
//! ```text
//! phonemes ─▶ text encoder, durations, flow ─┤ latent, 192 × frames ├─▶ /dec/ upsampling ─▶ samples      (256 a frame)
//!             encoder half                     the one tensor that      decoder half
//!                                              enters the `/dec/` nodes
//! ```
//! The decoder is convolutional: run over a few frames at a time, with some frames of context on both sides, it gives the
//! very samples it gives over the whole sentence. An exported graph names its nodes by the module they came from, which
//! is how the cut is found; the halves are then whatever their outputs depend on, and a graph that doesn't fall apart
//! cleanly there is not cut at all.
//!
//! PURE: bytes in, bytes out. Only as much protobuf is read as a graph's wiring needs (`onnx.proto`: `ModelProto.graph`
//! is field 7; in `GraphProto` nodes are 1, initializers 5, inputs 11, outputs 12, value infos 13); everything else is
//! copied as it is. Nothing is cached on disk: cutting 63 MB is a copy, which takes less time than checking a cache would.

use std::collections::{HashMap, HashSet};

/// The two halves, each a complete ONNX model, and the tensor between them.
#[derive(Debug)]
pub struct Halves {
    /// From the model's inputs to the latent.
    pub encoder: Vec<u8>,
    /// From the latent to the model's outputs.
    pub decoder: Vec<u8>,
    /// Name of the encoder's output and the decoder's input.
    pub latent: String,
}

/// Why a model was not cut. It can still be run in one piece.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// These bytes are no ONNX model.
    #[error("not an ONNX model: {0}")]
    Malformed(&'static str),
    /// The graph has no decoder that depends on one tensor alone.
    #[error("the model cannot be cut: {0}")]
    NoCut(String),
}

mod field {
    pub const MODEL_GRAPH: u32 = 7;
    pub const GRAPH_NODE: u32 = 1;
    pub const GRAPH_NAME: u32 = 2;
    pub const GRAPH_INITIALIZER: u32 = 5;
    pub const GRAPH_INPUT: u32 = 11;
    pub const GRAPH_OUTPUT: u32 = 12;
    pub const GRAPH_VALUE_INFO: u32 = 13;
    pub const NODE_INPUT: u32 = 1;
    pub const NODE_OUTPUT: u32 = 2;
    pub const NODE_NAME: u32 = 3;
    pub const NODE_ATTRIBUTE: u32 = 5;
    pub const ATTRIBUTE_GRAPH: u32 = 6;
    pub const ATTRIBUTE_GRAPHS: u32 = 11;
    pub const TENSOR_NAME: u32 = 8;
    pub const VALUE_INFO_NAME: u32 = 1;
    pub const VALUE_INFO_TYPE: u32 = 2;
}

/// Graphs inside nodes (branches, loops) nest this deep at most; real ones nest once or twice.
const MAX_DEPTH: usize = 16;

/// Cuts `model` where its decoder, the nodes named `/dec/…`, begins.
pub fn split(model: &[u8]) -> Result<Halves, SplitError> {
    let mut graph = None;
    for part in Fields(model) {
        let part = part?;
        if part.number == field::MODEL_GRAPH {
            graph = Some(part.payload);
        }
    }
    let graph = Graph::read(graph.ok_or(SplitError::Malformed("no graph"))?)?;
    let latent = graph.latent()?.to_owned();

    let encoder = graph.depends_on(&[&latent], None);
    let outputs: Vec<&str> = graph.outputs.iter().map(|value| value.name).collect();
    let decoder = graph.depends_on(&outputs, Some(&latent));
    // Old exports list their weights as inputs too.
    let weights: HashSet<&str> = graph.initializers.iter().map(|tensor| tensor.name).collect();
    let inputs_of = |part: &Part<'_>| -> Vec<&[u8]> {
        graph.inputs.iter().filter(|input| part.tensors.contains(input.name)).map(|input| input.raw).collect()
    };
    let is_real = |input: &&Named<'_>| decoder.tensors.contains(input.name) && !weights.contains(input.name);
    if let Some(input) = graph.inputs.iter().find(is_real) {
        return Err(SplitError::NoCut(format!("the decoder also needs the input `{}`", input.name)));
    }

    let latent_info = match graph.value_infos.get(latent.as_str()) {
        Some(raw) => raw.to_vec(),
        None => float_value_info(&latent),
    };
    let mut decoder_inputs: Vec<&[u8]> = vec![&latent_info];
    decoder_inputs.extend(inputs_of(&decoder));
    let decoder_outputs: Vec<&[u8]> = graph.outputs.iter().map(|output| output.raw).collect();
    Ok(Halves {
        encoder: write_half(model, &graph, &encoder, &inputs_of(&encoder), &[&latent_info])?,
        decoder: write_half(model, &graph, &decoder, &decoder_inputs, &decoder_outputs)?,
        latent,
    })
}

/// A graph's wiring; every slice points into the model.
#[derive(Default)]
struct Graph<'a> {
    name: &'a [u8],
    nodes: Vec<Node<'a>>,
    initializers: Vec<Named<'a>>,
    inputs: Vec<Named<'a>>,
    outputs: Vec<Named<'a>>,
    value_infos: HashMap<&'a str, &'a [u8]>,
}

struct Named<'a> {
    name: &'a str,
    raw: &'a [u8],
}

#[derive(Default)]
struct Node<'a> {
    name: &'a str,
    /// Everything read, by the node itself or by a graph inside it.
    inputs: Vec<&'a str>,
    outputs: Vec<&'a str>,
    raw: &'a [u8],
}

/// What some tensors depend on: nodes by index, and every tensor on the way.
struct Part<'a> {
    nodes: Vec<bool>,
    tensors: HashSet<&'a str>,
}

impl<'a> Graph<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, SplitError> {
        let mut graph = Self::default();
        for part in Fields(bytes) {
            let Field { number, payload: raw, .. } = part?;
            match number {
                field::GRAPH_NODE => graph.nodes.push(Node::read(raw, 0)?),
                field::GRAPH_NAME => graph.name = raw,
                field::GRAPH_INITIALIZER => {
                    graph.initializers.push(Named { name: text_field(raw, field::TENSOR_NAME)?, raw });
                }
                field::GRAPH_INPUT => graph.inputs.push(Named { name: text_field(raw, field::VALUE_INFO_NAME)?, raw }),
                field::GRAPH_OUTPUT => {
                    graph.outputs.push(Named { name: text_field(raw, field::VALUE_INFO_NAME)?, raw });
                }
                field::GRAPH_VALUE_INFO => {
                    graph.value_infos.insert(text_field(raw, field::VALUE_INFO_NAME)?, raw);
                }
                _ => {}
            }
        }
        Ok(graph)
    }

    /// The one tensor a `/dec/` node reads that a node elsewhere computes.
    fn latent(&self) -> Result<&'a str, SplitError> {
        let in_decoder = |node: &Node| node.name.starts_with("/dec/") || node.name.contains(".dec/");
        let mut computed_elsewhere = HashSet::new();
        for node in self.nodes.iter().filter(|node| !in_decoder(node)) {
            computed_elsewhere.extend(node.outputs.iter().copied());
        }
        let mut crossing: Vec<&str> = Vec::new();
        for node in self.nodes.iter().filter(|node| in_decoder(node)) {
            for &input in &node.inputs {
                if computed_elsewhere.contains(input) && !crossing.contains(&input) {
                    crossing.push(input);
                }
            }
        }
        match crossing[..] {
            [latent] => Ok(latent),
            [] => Err(SplitError::NoCut("no node named `/dec/…` reads from the rest".to_owned())),
            _ => Err(SplitError::NoCut(format!("{} tensors enter the decoder: {crossing:?}", crossing.len()))),
        }
    }

    /// Everything `wanted` is computed from, going no further back than `stop`.
    fn depends_on(&self, wanted: &[&'a str], stop: Option<&str>) -> Part<'a>
    where
        Self: 'a,
    {
        let mut producer = HashMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            producer.extend(node.outputs.iter().map(|&output| (output, index)));
        }
        let mut part = Part { nodes: vec![false; self.nodes.len()], tensors: HashSet::new() };
        let mut open: Vec<&'a str> = wanted.to_vec();
        while let Some(tensor) = open.pop() {
            if Some(tensor) == stop || !part.tensors.insert(tensor) {
                continue;
            }
            if let Some(&index) = producer.get(tensor)
                && !part.nodes[index]
            {
                part.nodes[index] = true;
                open.extend(&self.nodes[index].inputs);
            }
        }
        part
    }
}

impl<'a> Node<'a> {
    fn read(raw: &'a [u8], depth: usize) -> Result<Self, SplitError> {
        let mut node = Self { raw, ..Self::default() };
        for part in Fields(raw) {
            let Field { number, payload, .. } = part?;
            match number {
                // An empty name stands for an optional input left out.
                field::NODE_INPUT if !payload.is_empty() => node.inputs.push(text(payload)?),
                field::NODE_OUTPUT if !payload.is_empty() => node.outputs.push(text(payload)?),
                field::NODE_NAME => node.name = text(payload)?,
                field::NODE_ATTRIBUTE => node.read_inner_graphs(payload, depth)?,
                _ => {}
            }
        }
        Ok(node)
    }

    /// A graph inside a node reads the outer graph's tensors by name. Its own names are taken along; they lead nowhere.
    fn read_inner_graphs(&mut self, attribute: &'a [u8], depth: usize) -> Result<(), SplitError> {
        if depth >= MAX_DEPTH {
            return Err(SplitError::Malformed("graphs nest too deep"));
        }
        for part in Fields(attribute) {
            let part = part?;
            if !part.is_bytes || !matches!(part.number, field::ATTRIBUTE_GRAPH | field::ATTRIBUTE_GRAPHS) {
                continue;
            }
            for inner in Fields(part.payload) {
                let inner = inner?;
                match inner.number {
                    field::GRAPH_NODE => self.inputs.extend(Node::read(inner.payload, depth + 1)?.inputs),
                    field::GRAPH_OUTPUT => self.inputs.push(text_field(inner.payload, field::VALUE_INFO_NAME)?),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// The model again with only the nodes and initializers of `part`, between `inputs` and `outputs`.
fn write_half(
    model: &[u8],
    graph: &Graph<'_>,
    part: &Part<'_>,
    inputs: &[&[u8]],
    outputs: &[&[u8]],
) -> Result<Vec<u8>, SplitError> {
    let nodes = graph.nodes.iter().zip(&part.nodes).filter(|(_, wanted)| **wanted).map(|(node, _)| node.raw);
    let initializers = graph.initializers.iter().filter(|tensor| part.tensors.contains(tensor.name));
    let mut half = Vec::new();
    for raw in nodes {
        put_bytes(&mut half, field::GRAPH_NODE, raw);
    }
    put_bytes(&mut half, field::GRAPH_NAME, graph.name);
    for tensor in initializers {
        put_bytes(&mut half, field::GRAPH_INITIALIZER, tensor.raw);
    }
    for raw in inputs {
        put_bytes(&mut half, field::GRAPH_INPUT, raw);
    }
    for raw in outputs {
        put_bytes(&mut half, field::GRAPH_OUTPUT, raw);
    }
    let mut written = Vec::with_capacity(half.len() + 4_096);
    for field in Fields(model) {
        let field = field?;
        if field.number != field::MODEL_GRAPH {
            written.extend_from_slice(field.whole);
        }
    }
    put_bytes(&mut written, field::MODEL_GRAPH, &half);
    Ok(written)
}

/// `ValueInfoProto` of a float tensor of any shape, for an export that didn't describe its inner tensors.
fn float_value_info(name: &str) -> Vec<u8> {
    const TENSOR_TYPE_FLOAT: [u8; 4] = [0x0a, 0x02, 0x08, 0x01]; // TypeProto { tensor_type { elem_type: FLOAT } }
    let mut info = Vec::new();
    put_bytes(&mut info, field::VALUE_INFO_NAME, name.as_bytes());
    put_bytes(&mut info, field::VALUE_INFO_TYPE, &TENSOR_TYPE_FLOAT);
    info
}

fn text(bytes: &[u8]) -> Result<&str, SplitError> {
    std::str::from_utf8(bytes).map_err(|_| SplitError::Malformed("a name is not UTF-8"))
}

/// The last text numbered `number` in `message`, as protobuf has it; empty if there is none.
fn text_field(message: &[u8], number: u32) -> Result<&str, SplitError> {
    let mut found = "";
    for part in Fields(message) {
        let part = part?;
        if part.number == number {
            found = text(part.payload)?;
        }
    }
    Ok(found)
}

/// One field of a protobuf message.
struct Field<'a> {
    number: u32,
    /// What a length-delimited field holds; empty for numbers, which the wiring has none of.
    payload: &'a [u8],
    is_bytes: bool,
    /// Tag, length and payload, as they stood.
    whole: &'a [u8],
}

/// The fields of a message in order. Ends after the first error.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, SplitError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let start = self.0;
        match take_field(start) {
            Some((number, payload, rest)) => {
                self.0 = rest;
                let whole = &start[..start.len() - rest.len()];
                Some(Ok(Field { number, payload: payload.unwrap_or(&[]), is_bytes: payload.is_some(), whole }))
            }
            None => {
                self.0 = &[];
                Some(Err(SplitError::Malformed("a field is cut short or of an unknown kind")))
            }
        }
    }
}

/// Number, payload if length-delimited, and what follows.
type Taken<'a> = (u32, Option<&'a [u8]>, &'a [u8]);

fn take_field(bytes: &[u8]) -> Option<Taken<'_>> {
    let (tag, rest) = take_varint(bytes)?;
    let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0)?;
    match tag & 7 {
        0 => take_varint(rest).map(|(_, rest)| (number, None, rest)),
        1 => rest.get(8..).map(|rest| (number, None, rest)),
        2 => {
            let (length, rest) = take_varint(rest)?;
            let (payload, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            Some((number, Some(payload), rest))
        }
        5 => rest.get(4..).map(|rest| (number, None, rest)),
        _ => None,
    }
}

fn take_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, number: u32, payload: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, payload.len() as u64);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(name: &str, inputs: &[&str], outputs: &[&str]) -> Vec<u8> {
        let mut raw = Vec::new();
        for input in inputs {
            put_bytes(&mut raw, field::NODE_INPUT, input.as_bytes());
        }
        for output in outputs {
            put_bytes(&mut raw, field::NODE_OUTPUT, output.as_bytes());
        }
        put_bytes(&mut raw, field::NODE_NAME, name.as_bytes());
        raw
    }

    fn named(number: u32, name: &str) -> Vec<u8> {
        let mut raw = Vec::new();
        put_bytes(&mut raw, number, name.as_bytes());
        raw
    }

    fn model(nodes: &[Vec<u8>], initializers: &[&str], inputs: &[&str]) -> Vec<u8> {
        let mut graph = Vec::new();
        for node in nodes {
            put_bytes(&mut graph, field::GRAPH_NODE, node);
        }
        put_bytes(&mut graph, field::GRAPH_NAME, b"voice");
        for name in initializers {
            put_bytes(&mut graph, field::GRAPH_INITIALIZER, &named(field::TENSOR_NAME, name));
        }
        for name in inputs {
            put_bytes(&mut graph, field::GRAPH_INPUT, &named(field::VALUE_INFO_NAME, name));
        }
        put_bytes(&mut graph, field::GRAPH_OUTPUT, &named(field::VALUE_INFO_NAME, "output"));
        let mut model = vec![0x08, 0x08]; // ir_version 8
        put_bytes(&mut model, field::MODEL_GRAPH, &graph);
        put_bytes(&mut model, 8, &[0x10, 0x0f]); // opset_import, behind the graph
        model
    }

    fn voice() -> Vec<u8> {
        let nodes = [
            node("/enc/emb", &["input", "emb"], &["e"]),
            node("/Mul_7", &["e", "scales"], &["z"]),
            node("/dec/conv_pre", &["z", "w", ""], &["d"]),
            node("/dec/Tanh", &["d"], &["output"]),
        ];
        model(&nodes, &["emb", "w"], &["input", "scales"])
    }

    fn graph_of(model: &[u8]) -> Graph<'_> {
        let graph = Fields(model).map(|field| field.expect("well formed")).find(|field| field.number == 7);
        Graph::read(graph.expect("a graph").payload).expect("well formed")
    }

    fn names<'a>(values: &'a [Named<'_>]) -> Vec<&'a str> {
        values.iter().map(|value| value.name).collect()
    }

    #[test]
    fn a_voice_falls_apart_at_the_tensor_that_enters_its_decoder() {
        let halves = split(&voice()).expect("a voice");
        assert_eq!(halves.latent, "z");
        let encoder = graph_of(&halves.encoder);
        assert_eq!(encoder.nodes.iter().map(|node| node.name).collect::<Vec<_>>(), ["/enc/emb", "/Mul_7"]);
        assert_eq!(
            (names(&encoder.initializers), names(&encoder.inputs), names(&encoder.outputs)),
            (vec!["emb"], vec!["input", "scales"], vec!["z"])
        );
        let decoder = graph_of(&halves.decoder);
        assert_eq!(decoder.nodes.iter().map(|node| node.name).collect::<Vec<_>>(), ["/dec/conv_pre", "/dec/Tanh"]);
        assert_eq!(
            (names(&decoder.initializers), names(&decoder.inputs), names(&decoder.outputs)),
            (vec!["w"], vec!["z"], vec!["output"])
        );
        for half in [&halves.encoder, &halves.decoder] {
            assert!(half.starts_with(&[0x08, 0x08, 0x42, 0x02, 0x10, 0x0f]), "what is not the graph is kept");
        }
    }

    #[test]
    fn what_a_graph_inside_a_node_reads_counts() {
        let mut inner = Vec::new();
        put_bytes(&mut inner, field::GRAPH_NODE, &node("", &["hidden"], &["i"]));
        let mut attribute = Vec::new();
        put_bytes(&mut attribute, field::ATTRIBUTE_GRAPH, &inner);
        let mut branch = node("/If", &["e"], &["z"]);
        put_bytes(&mut branch, field::NODE_ATTRIBUTE, &attribute);
        let nodes = [node("/enc/a", &["input"], &["e", "hidden"]), branch, node("/dec/out", &["z"], &["output"])];
        let halves = split(&model(&nodes, &["hidden"], &["input"])).expect("a voice");
        assert_eq!(names(&graph_of(&halves.encoder).initializers), ["hidden"]);
    }

    #[test]
    fn other_models_are_left_whole() {
        let check = |nodes: &[Vec<u8>], says: &str| {
            let error = split(&model(nodes, &[], &["input", "sid"])).expect_err(says);
            assert!(error.to_string().contains(says), "{error}");
        };
        check(&[node("Conv_1", &["input"], &["output"])], "no node named");
        let two = [
            node("/flow", &["input"], &["z"]),
            node("/emb_g", &["sid"], &["g"]),
            node("/dec/cond", &["z", "g"], &["output"]),
        ];
        check(&two, "2 tensors enter the decoder");
        let direct = [node("/flow", &["input"], &["z"]), node("/dec/cond", &["z", "sid"], &["output"])];
        check(&direct, "also needs the input `sid`");
        assert_eq!(split(b"").expect_err("empty"), SplitError::Malformed("no graph"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = split(&bytes);
        }

        #[test]
        fn damaged_voices_never_panic(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            keep in any::<prop::sample::Index>(),
        ) {
            let mut bytes = voice();
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let _ = split(&bytes);
            bytes.truncate(keep.index(bytes.len()));
            let _ = split(&bytes);
        }

        #[test]
        fn numbers_come_back_as_written(value in any::<u64>()) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            prop_assert_eq!(take_varint(&bytes), Some((value, &[][..])));
        }
    }
}

//! The models Warmline runs on: what they are, where they come from, whether they are whole.

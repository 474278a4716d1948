//! The HTTP surface, request by request.

mod api;
mod auth;
mod openapi;
mod operator;
mod review;
mod surface;

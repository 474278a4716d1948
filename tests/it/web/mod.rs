//! The HTTP surface, request by request.

mod api;
mod auth;
mod keys;
mod openapi;
mod operator;
mod people;
mod review;
mod shifts;
mod surface;

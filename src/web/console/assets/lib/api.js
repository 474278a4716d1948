// Requests to `/api/v1`. Every failure is an ApiError whose message can be shown as it is.

/** Why a request failed. `status` 0: the server was not reached. */
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
  }
}

const SENTENCES = {
  0: "The server can’t be reached. Check your connection and try again.",
  401: "Please sign in.",
  403: "Your account may not do this.",
  404: "That does not exist, or no longer.",
  413: "That is too long.",
  429: "Too many tries. Wait a minute and try again.",
  503: "All lines are busy at the moment. Please try again in a few minutes.",
};

/** Sends a request; gives the JSON answer, or `null` when it is empty. */
export async function api(method, path, body) {
  const request = { method, cache: "no-store", credentials: "same-origin", headers: { Accept: "application/json" } };
  if (body !== undefined) {
    request.headers["Content-Type"] = "application/json";
    request.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, request);
  } catch {
    throw new ApiError(0, "unreachable", SENTENCES[0]);
  }
  const answer = await response.text().then(parse, () => null);
  if (response.ok) return answer;
  const { code, message } = describe(answer);
  throw new ApiError(
    response.status,
    code,
    message ?? SENTENCES[response.status] ?? "The server could not do that. Please try again.",
  );
}

function parse(text) {
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

function describe(answer) {
  const text = (value) => (typeof value === "string" && value !== "" ? value : undefined);
  return { code: text(answer?.code) ?? "", message: text(answer?.message) };
}

// Requests to `/api/v1`, typed by the server's own document. Every failure is an ApiError whose message can be shown.

import createClient from "openapi-fetch";

import { type Values, language, t, translated } from "../i18n/i18n.svelte";
import type { paths } from "./schema";

/** Why a request failed. `status` 0: the server was not reached. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** `api.GET("/api/v1/calls", …)`; give the answer to [`take`]. */
export const api = createClient<paths>({ cache: "no-store", credentials: "same-origin" });

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** What the server answered, or an ApiError. */
export async function take<T>(request: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await request;
  } catch {
    throw new ApiError(0, "unreachable", t("error.unreachable"));
  }
  const { data, error, response } = answer;
  if (response.ok) return data as T;
  const found = problem(error);
  throw new ApiError(response.status, found.code, sentence(found));
}

/** Any failure as a sentence for the person. */
export function reasonOf(error: unknown): string {
  if (error instanceof ApiError) return error.message;
  console.error(error);
  return t("error.unexpected");
}

/** What the server says of a failure; what it leaves out is empty. */
export interface Failure {
  code: string;
  message: string;
  /** Which mistake it was, where the code covers several. */
  reason: string;
  /** What the sentence speaks of. */
  values: Values;
}

function problem(error: unknown): Failure {
  const found = isObject(error) ? error : {};
  const text = (key: string): string => (typeof found[key] === "string" ? found[key] : "");
  const values = isObject(found["values"]) ? Object.entries(found["values"]) : [];
  return { code: text("code"), message: text("message"), reason: text("reason"), values: Object.fromEntries(values.map(([key, value]) => [key, String(value)])) };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** As the server says it where that is the reader's language, else by the mistake or the code, if we know it. */
export function sentence({ code, message, reason, values }: Failure): string {
  if (message !== "" && language.locale === "en") return message;
  return translated(`mistake.${reason}`, values) ?? translated(`error.${code}`) ?? (message === "" ? t("error.other") : message);
}

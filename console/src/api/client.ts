// Requests to `/api/v1`, typed by the server's own document. Every failure is an ApiError whose message can be shown.

import createClient from "openapi-fetch";

import { language, t, translated } from "../i18n/i18n.svelte";
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
  const { code, message } = problem(error);
  throw new ApiError(response.status, code, sentence(code, message));
}

/** Any failure as a sentence for the person. */
export function reasonOf(error: unknown): string {
  if (error instanceof ApiError) return error.message;
  console.error(error);
  return t("error.unexpected");
}

function problem(error: unknown): { code: string; message: string } {
  const found: object = typeof error === "object" && error !== null ? error : {};
  const text = (key: string): string => {
    const value: unknown = key in found ? found[key as keyof typeof found] : "";
    return typeof value === "string" ? value : "";
  };
  return { code: text("code"), message: text("message") };
}

/** As the server says it where that is the reader's language, else by the code, if we know it. */
function sentence(code: string, message: string): string {
  if (message !== "" && language.locale === "en") return message;
  return translated(`error.${code}`) ?? (message === "" ? t("error.other") : message);
}

// Signing in, changing a first password, signing out: the same on every staff page.

import { ApiError, api } from "./api.js";
import { fill, h, setText } from "./dom.js";

/**
 * Gives the signed-in account `{id, name, role}`, showing the forms it takes in `mount`.
 * Fills the header's account corner too.
 */
export async function requireSession(mount, { mayLeave = () => true } = {}) {
  let me = null;
  while (me === null) {
    try {
      me = await api("GET", "/api/v1/session");
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) me = await signIn(mount);
      else await failed(mount, error);
    }
  }
  while (me.must_change_password) me = await changePassword(mount);
  showAccount(me, mayLeave);
  return me;
}

function showAccount(me, mayLeave) {
  const out = h("button", { class: "button quiet small", type: "button" }, "Sign out");
  out.addEventListener("click", async () => {
    if (!mayLeave()) return;
    out.disabled = true;
    await api("DELETE", "/api/v1/session").catch(() => {});
    location.reload();
  });
  const corner = document.getElementById("account");
  fill(corner, h("span", { class: "account-name small soft", title: `Signed in as ${me.role}` }, me.name), out);
}

/** Waits for a click on “Try again”. */
function failed(mount, error) {
  return new Promise((resolve) => {
    const again = h("button", { class: "button primary", type: "button", onclick: resolve }, "Try again");
    fill(
      mount,
      h(
        "div",
        { class: "middle" },
        h("div", { class: "card", role: "alert" }, h("h1", {}, "Not reached"), h("p", {}, error.message), again),
      ),
    );
    again.focus();
  });
}

function signIn(mount) {
  return form(mount, {
    title: "Sign in",
    lead: "For the people who take calls.",
    button: "Sign in",
    fields: [
      { id: "name", label: "Name", autocomplete: "username", autocapitalize: "none", spellcheck: "false" },
      { id: "password", label: "Password", type: "password", autocomplete: "current-password" },
    ],
    async submit({ name, password }) {
      try {
        return await api("POST", "/api/v1/session", { name: name.trim(), password });
      } catch (error) {
        if (error.status === 401) throw new ApiError(401, "", "That name and password do not go together.");
        throw error;
      }
    },
  });
}

function changePassword(mount) {
  return form(mount, {
    title: "Choose a password",
    lead: "The one you were given works only once. Choose your own, of at least 10 characters, to go on.",
    button: "Save password",
    fields: [
      { id: "old", label: "Password you were given", type: "password", autocomplete: "current-password" },
      { id: "new", label: "New password", type: "password", autocomplete: "new-password" },
      { id: "repeat", label: "New password again", type: "password", autocomplete: "new-password" },
    ],
    async submit({ old, new: chosen, repeat }) {
      if (chosen !== repeat) throw new ApiError(0, "", "The two new passwords differ.");
      if (chosen === old) throw new ApiError(0, "", "The new password is the old one. Choose another.");
      try {
        return await api("POST", "/api/v1/password", { old, new: chosen });
      } catch (error) {
        if (error.code === "wrong_credentials") throw new ApiError(401, "", "That is not the password you were given.");
        throw error;
      }
    },
  });
}

/** One form in the middle of the page; resolves with what `submit` gives once it succeeds. */
function form(mount, { title, lead, button, fields, submit }) {
  return new Promise((resolve) => {
    const inputs = new Map();
    const rows = fields.map(({ id, label, type = "text", ...rest }) => {
      const input = h("input", {
        class: "input",
        id,
        name: id,
        type,
        required: true,
        "aria-describedby": "form-error",
        ...rest,
      });
      inputs.set(id, input);
      return h("div", { class: "field" }, h("label", { for: id }, label), input);
    });
    const error = h("p", { class: "field-error", id: "form-error", role: "alert" });
    const send = h("button", { class: "button primary", type: "submit" }, button);
    const root = h(
      "form",
      { class: "card", novalidate: true, "aria-labelledby": "form-title" },
      h("div", {}, h("h1", { id: "form-title" }, title), h("p", { class: "soft" }, lead)),
      rows,
      h("div", { class: "field" }, error, send),
    );
    root.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (send.disabled) return;
      const missing = [...inputs.values()].find((input) => input.value === "");
      for (const input of inputs.values()) input.toggleAttribute("aria-invalid", false);
      if (missing !== undefined) {
        setText(error, "Please fill in every field.");
        missing.setAttribute("aria-invalid", "true");
        missing.focus();
        return;
      }
      send.disabled = true;
      setText(error, "");
      try {
        resolve(await submit(Object.fromEntries([...inputs].map(([id, input]) => [id, input.value]))));
      } catch (problem) {
        send.disabled = false;
        setText(error, problem instanceof ApiError ? problem.message : "That did not work. Please try again.");
        const last = [...inputs.values()].at(-1);
        last.select();
        last.focus();
      }
    });
    fill(mount, h("div", { class: "middle" }, root));
    [...inputs.values()][0].focus();
  });
}

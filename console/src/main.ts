import { mount } from "svelte";

import App from "./app/App.svelte";
import { router } from "./app/router.svelte";
import { theme } from "./app/theme.svelte";
import { language } from "./i18n/i18n.svelte";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/controls.css";

const target = document.getElementById("app");
if (target === null) throw new Error("index.html has no #app");
theme.start();
await language.start();
await router.start();
mount(App, { target });

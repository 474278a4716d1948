// The time of this moment, for views: it changes four times a second.

import { onTick } from "./ticker";

class Now {
  ms = $state(Date.now());

  constructor() {
    onTick(() => (this.ms = Date.now()));
  }
}

export const now = new Now();

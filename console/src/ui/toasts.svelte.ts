// Notices that lie over the page for a while: nothing moves when one comes.

export type Tone = "warm" | "good" | "bad";

export interface Toast {
  id: number;
  text: string;
  tone: Tone;
}

const LASTS_MS = 12_000;
const MOST = 3;

class Toasts {
  shown = $state.raw<readonly Toast[]>([]);
  #count = 0;

  tell(text: string, tone: Tone = "warm"): void {
    const toast = { id: ++this.#count, text, tone };
    this.shown = [...this.shown, toast].slice(-MOST);
    setTimeout(() => this.dismiss(toast.id), LASTS_MS);
  }

  dismiss(id: number): void {
    this.shown = this.shown.filter((toast) => toast.id !== id);
  }

  clear(): void {
    this.shown = [];
  }
}

export const toasts = new Toasts();

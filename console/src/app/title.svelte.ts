/** What the tab is called: the page's name, unless something more urgent is to be seen. */
class Title {
  page = $state("");
  urgent = $state<string | null>(null);
}

export const title = new Title();

/** Names the tab while the component that calls it is shown. */
export function usePageTitle(text: () => string): void {
  $effect(() => {
    title.page = text();
  });
}

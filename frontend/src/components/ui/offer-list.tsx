import { Button } from "@mantine/core";
import classes from "./offer-list.module.css";

export interface Offer {
  id: string;
  title: string;
  text: string;
  note: string;
}

interface OfferListProps {
  offers: Offer[];
  action: string;
  busyId: string | null;
  onTake: (id: string) => void;
}

/** Things one can begin with, each with its one button. */
export function OfferList({ offers, action, busyId, onTake }: OfferListProps) {
  return (
    <ul className={classes.samples}>
      {offers.map((offer) => (
        <li key={offer.id}>
          <div>
            <h3>{offer.title}</h3>
            <p>{offer.text}</p>
            <small>{offer.note}</small>
          </div>
          <Button
            variant="default"
            onClick={() => onTake(offer.id)}
            loading={busyId === offer.id}
            aria-label={`${action}: ${offer.title}`}
          >
            {action}
          </Button>
        </li>
      ))}
    </ul>
  );
}
